"""An interrupted and resumed run equals the uninterrupted one bit for bit."""

import numpy as np
import pytest
from run_states import Interrupt, InterruptHook, assert_equal, final_state


def interrupted(run, config, purpose, update, options):
    """Run until ``update``, then resume to the end."""
    with pytest.raises(Interrupt):
        run(config, 'stopped', purpose, options, hooks=[InterruptHook(update)])
    return run(config, 'stopped', purpose, options, resume=True)


@pytest.mark.parametrize(
    'update', [4, int(np.random.default_rng().integers(5, 14))], ids=['4', 'any']
)
def test_search_resumes_exactly(search_config, run, tmp_path, update):
    run(search_config, 'whole')
    resumed = interrupted(run, search_config, 'search', update, {})
    assert resumed.iter == 14
    assert_equal(final_state(tmp_path / 'whole'), final_state(tmp_path / 'stopped'))
    for name in ('history.jsonl', 'branching.json', 'alpha.json'):
        assert (tmp_path / 'whole' / name).read_text() == (tmp_path / 'stopped' / name).read_text()


@pytest.mark.slow
def test_search_resumes_exactly_with_workers(search_config, run, tmp_path):
    workers = {'train_dataloader.num_workers': 2, 'train_dataloader.persistent_workers': True}
    run(search_config, 'whole')
    interrupted(run, search_config, 'search', 8, workers)
    assert_equal(
        final_state(tmp_path / 'whole')['state_dict'],
        final_state(tmp_path / 'stopped')['state_dict'],
    )


def test_training_resumes_exactly(train_config, run, tmp_path):
    run(train_config, 'whole', 'train')
    interrupted(run, train_config, 'train', 7, {})
    assert_equal(final_state(tmp_path / 'whole'), final_state(tmp_path / 'stopped'))


def test_another_seed_is_refused(train_config, run):
    run(train_config, 'whole', 'train', {'train_cfg.max_iters': 3})
    with pytest.raises(ValueError, match='randomness.seed was 0, now it is 1'):
        run(train_config, 'whole', 'train', {'randomness.seed': 1}, resume=True)
