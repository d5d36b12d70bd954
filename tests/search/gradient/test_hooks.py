import json
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn

from bmtas.branching import BranchingTree
from bmtas.engine.checkpoint import checkpoints_of
from bmtas.search.gradient import (
    HISTORY,
    GumbelTemperatureHook,
    ResetBatchNormHook,
    ResetOptimizerStateHook,
    SearchSchedule,
    read_history,
)
from bmtas.search.gradient.decoding import sharing_probability
from bmtas.search.gradient.hooks import MemoryHook, mean_sharing
from bmtas.typed import accepted_arguments, check_arguments

# warm-up 0-1, alpha 2-3, weights 4-6, alpha 7-8, weights 9-11
SCHEDULE = SearchSchedule(2, 6, 2, 3)


def fake_runner(update, model=None, optimizers=None):
    loop = SimpleNamespace(
        schedule=SCHEDULE, iter=update, temperature=None, resource=None, memory={}
    )
    hub = SimpleNamespace(update_scalar=lambda *args: None)
    return SimpleNamespace(
        train_loop=loop, iter=update, model=model, optim_wrapper=optimizers, message_hub=hub
    )


def test_temperature_falls_linearly_after_the_warm_up():
    hook = GumbelTemperatureHook(5.0, 0.5)
    seen = []
    for update in range(SCHEDULE.total):
        runner = fake_runner(update)
        hook.before_train_iter(runner, update)
        seen.append(runner.train_loop.temperature)
    assert seen[:3] == [5.0, 5.0, 5.0]
    assert seen[2:] == pytest.approx([5.0 - 0.5 * n for n in range(10)])
    with pytest.raises(ValueError, match='tau.end: must be greater than 0'):
        check_arguments(dict(end=0.0), accepted_arguments(GumbelTemperatureHook), 'tau')


def test_batch_norm_statistics_rest_while_alpha_moves_and_begin_anew_for_the_weights():
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(2)
    model = nn.Sequential(norm).train()
    hook = ResetBatchNormHook()
    images = torch.randn(4, 2, 3, 3) * 5 + 7
    for update in range(SCHEDULE.total):
        hook.before_train_iter(fake_runner(update, model), update)
        before = norm.running_mean.clone()
        if SCHEDULE.starts(update) == 'weights':
            assert before.eq(0).all()
            assert norm.running_var.eq(1).all()
        output = model(images)
        assert output.mean().abs() < 1e-5  # always by the batch
        assert norm.running_mean.equal(before) == (SCHEDULE.phase(update) == 'alpha')
    assert norm.num_batches_tracked == 3
    hook._track(model, False)
    hook.after_train(fake_runner(0, model))
    assert norm.track_running_stats


@pytest.mark.parametrize('alpha', [False, True])
def test_optimizer_state_is_cleared_at_the_start_of_a_phase(alpha):
    parameters = {name: nn.Parameter(torch.ones(1)) for name in ('weights', 'alpha')}
    wrappers = OptimWrapperDict(
        **{n: OptimWrapper(torch.optim.Adam([p], lr=0.1)) for n, p in parameters.items()}
    )
    hook = ResetOptimizerStateHook(weights=True, alpha=alpha)
    steps = {name: [] for name in parameters}
    for update in range(SCHEDULE.total):
        hook.before_train_iter(fake_runner(update, optimizers=wrappers), update)
        name = 'alpha' if SCHEDULE.phase(update) == 'alpha' else 'weights'
        parameters[name].grad = torch.ones(1)
        wrappers[name].step()
        steps[name].append(int(wrappers[name].optimizer.state[parameters[name]]['step']))
    assert steps['weights'] == [1, 2, 1, 2, 3, 1, 2, 3]
    assert steps['alpha'] == ([1, 2, 1, 2] if alpha else [1, 2, 3, 4])


def test_who_shares_what_is_averaged_over_the_last_alpha_updates():
    torch.manual_seed(0)
    encoder = nn.Module()
    encoder.alpha = nn.Parameter(torch.zeros(2, 3, 3))
    model = nn.Module()
    model.encoder = encoder
    hook, memory, seen = MemoryHook(average=0.5), {}, []
    for update in range(SCHEDULE.total):
        runner = fake_runner(update, model)
        runner.train_loop.memory = memory
        with torch.no_grad():
            encoder.alpha.normal_()
        hook.after_train_iter(runner, update)
        if update in (7, 8):  # the alpha updates of the second half
            seen.append(sharing_probability(encoder.alpha))
        if update == 6:
            assert mean_sharing(runner.train_loop, model).equal(sharing_probability(encoder.alpha))
    assert mean_sharing(runner.train_loop, model).equal((seen[0] + seen[1]) / 2)
    # a checkpoint between the two knows the first
    runner.train_loop.memory = {}
    hook.after_load_checkpoint(runner, dict(search=dict(shared=seen[0], shared_updates=1)))
    assert mean_sharing(runner.train_loop, model).equal(seen[0])


def test_a_search_really_resets_and_writes_its_results(search_config, run, tmp_path):
    runner = run(search_config, 'run')
    encoder = runner.model.encoder
    # the last weight phase has 3 updates, in each the stem sees 3 tasks
    stem = [m for m in encoder.stem.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [int(norm.num_batches_tracked) for norm in stem] == [9]
    assert all(module.track_running_stats for module in stem)
    # both alpha phases, 2 updates each, without a reset
    (state,) = runner.optim_wrapper['alpha'].optimizer.state.values()
    assert int(state['step']) == 4
    tree = BranchingTree.from_file(tmp_path / 'run' / 'branching.json', encoder.tasks)
    assert tree == BranchingTree.from_routes(encoder.routes(), encoder.tasks)
    alpha = json.loads((tmp_path / 'run' / 'alpha.json').read_text())
    torch.testing.assert_close(torch.tensor(alpha['alpha']), encoder.alpha.detach().cpu())
    # one alpha update lies in the last third; no other has followed it
    memory, now = runner.train_loop.memory, sharing_probability(encoder.alpha)
    assert memory['shared_updates'] == 1 and memory['shared'].equal(now.cpu())
    torch.testing.assert_close(torch.tensor(alpha['shared'], dtype=torch.float64), now.cpu())
    rows = read_history(tmp_path / 'run' / HISTORY)
    assert [row['update'] for row in rows] == [1, 3, 5, 7, 9, 11, 13]
    assert [row['phase'] for row in rows] == [
        'warmup',
        'alpha',
        *['weights'] * 2,
        'alpha',
        *['weights'] * 2,
    ]
    assert all(row['cost_exact'] <= row['cost_paper'] + 1e-9 for row in rows)
    assert rows[-1]['cost_tree'] == pytest.approx(tree.cost(runner.train_loop.resource.table) / 1e9)
    maps = (tmp_path / 'run' / 'vis' / 'alpha').iterdir()
    assert sorted(path.name for path in maps) == ['000007.png', '000014.png']
    log = next((tmp_path / 'run').glob('*/*.log')).read_text()
    assert 'lambda = 0.1 per GMAdds' in log and 'in effect 0.1 per GMAdds' in log and 'eta' in log
    assert [path.name for path in checkpoints_of(tmp_path / 'run')] == [
        'iter_14.pth',
        'iter_12.pth',
    ]
