"""What a run does about signals, other runs, damaged numbers, and validations that were cut off."""

import json
import os
import re
import shutil
import signal

import pytest
import torch
from mmengine.hooks import Hook
from run_states import Interrupt, assert_equal, final_state

from bmtas.engine.checkpoint import checkpoint_files, checkpoints_of
from bmtas.engine.fit import load_fitting
from bmtas.engine.identity import first_difference, identity_of
from bmtas.engine.work_dir import RUN, VERSION, WorkDir
from bmtas.folder_lock import FolderLock
from bmtas.sealed import load_state

BEST = {
    'default_hooks.checkpoint.save_best': 'semseg/mIoU',
    'default_hooks.checkpoint.rule': 'greater',
    'default_hooks.checkpoint.interval': 2,
    'train_cfg.val_interval': 2,
    'val_cfg.type': 'ValLoop',
}


class SignalHook(Hook):
    def __init__(self, update, signum):
        self.update, self.signum = update, signum

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.update:
            os.kill(os.getpid(), self.signum)


class CutValidation(Hook):
    """Dies when a validation ends, before its best checkpoint is written."""

    def __init__(self, update):
        self.update = update

    def after_val_epoch(self, runner, metrics=None):
        if runner.iter == self.update:
            raise Interrupt


class PoisonHook(Hook):
    def __init__(self, update, poison):
        self.update, self.poison = update, poison

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.update:
            self.poison(runner)


def names(folder):
    return [path.name for path in checkpoint_files(folder)]


@pytest.mark.parametrize('signum', [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_ends_the_run_with_a_checkpoint(train_config, run, tmp_path, signum):
    handler = signal.getsignal(signum)
    run(train_config, 'whole', 'train', BEST)
    with pytest.raises(SystemExit) as stop:
        run(train_config, 'stopped', 'train', BEST, hooks=[SignalHook(4, signum)])
    assert stop.value.code == 128 + signum
    assert signal.getsignal(signum) is handler
    assert checkpoints_of(tmp_path / 'stopped')[0].name == 'iter_5.pth'
    run(train_config, 'stopped', 'train', BEST, resume=True)
    first, second = (final_state(tmp_path / name) for name in ('whole', 'stopped'))
    # one checkpoint more was written
    for state in (first, second):
        state['message_hub']['runtime_info'].pop('keep_ckpt_ids')
    assert_equal(first, second)


@pytest.mark.parametrize('update', [2, 4, 6, 8])
def test_a_validation_that_was_cut_off_is_made_up_for(train_config, run, tmp_path, update):
    run(train_config, 'whole', 'train', BEST)
    with pytest.raises(Interrupt):
        run(train_config, 'stopped', 'train', BEST, hooks=[CutValidation(update)])
    run(train_config, 'stopped', 'train', BEST, resume=True)
    assert_equal(final_state(tmp_path / 'whole'), final_state(tmp_path / 'stopped'))
    assert names(tmp_path / 'whole') == names(tmp_path / 'stopped')
    (best,) = [name for name in names(tmp_path / 'whole') if name.startswith('best_')]
    first, second = (load_state(tmp_path / n / best)['state_dict'] for n in ('whole', 'stopped'))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_validation_is_not_counted_twice(train_config, run, tmp_path):
    run(train_config, 'whole', 'train', {**BEST, 'train_cfg.max_iters': 4})
    log = tmp_path / 'whole'

    def validations():
        lines = [line for p in log.glob('*/vis_data/scalars.json') for line in p.open()]
        return [row['step'] for row in map(json.loads, lines) if 'semseg/mIoU' in row]

    assert validations() == [2, 4]
    newest = load_state(checkpoints_of(log)[0])['message_hub']['runtime_info']
    run(train_config, 'whole', 'train', {**BEST, 'train_cfg.max_iters': 4}, resume=True)
    again = len(validations()) - 2
    assert again == (newest.get('validated') != 4)


def test_two_runs_of_one_second_keep_their_logs_apart(train_config, run, tmp_path, monkeypatch):
    monkeypatch.setattr('time.strftime', lambda *args: '20260101_000000')
    options = {'train_cfg.max_iters': 2, 'default_hooks.logger.interval': 1}
    for name in ('one', 'two'):
        run(train_config, name, 'train', options)
        (path,) = (tmp_path / name).glob('*/vis_data/scalars.json')
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert [row['step'] for row in rows if 'lr' in row] == [1, 2]


def test_a_run_that_failed_before_its_first_update_blocks_no_other(tmp_path):
    def claim(cfg):
        work_dir = WorkDir(tmp_path)
        work_dir.claim(cfg)
        work_dir.release()
        return work_dir.run

    first = claim({'lr': 1.5})
    (tmp_path / '20260101_120000').mkdir()
    for name in ('resources.json', 'commands.jsonl', 'train.py'):
        (tmp_path / name).touch()
    assert claim({'lr': 0.5}) != first
    (tmp_path / 'history.jsonl').touch()
    with pytest.raises(ValueError, match='lr was 0.5, now it is 0.1'):
        claim({'lr': 0.1})


class TestWorkDir:
    def test_a_second_run_is_refused_unless_it_is_meant(self, train_config, run, tmp_path):
        short = {'train_cfg.max_iters': 3, 'val_cfg': None}
        run(train_config, 'one', 'train', short)
        with pytest.raises(ValueError, match='--resume goes on with it, --overwrite deletes it'):
            run(train_config, 'one', 'train', short)
        other = {**short, 'train_dataloader.batch_size': 1}
        for resume in (False, True):
            with pytest.raises(ValueError, match='train_dataloader.batch_size was 2, now it is 1'):
                run(train_config, 'one', 'train', other, resume=resume)
        (tmp_path / 'one' / 'iter_99.pth').write_bytes(b'older')
        run(train_config, 'one', 'train', other, overwrite=True)
        assert names(tmp_path / 'one') == ['iter_3.pth']

    @pytest.mark.parametrize('part', ['optimizer', 'param_scheduler'])
    def test_a_checkpoint_without_a_part_is_not_gone_on_from(self, train_config, run, part):
        short = {'train_cfg.max_iters': 3, 'val_cfg': None}
        run(train_config, 'one', 'train', {**short, f'default_hooks.checkpoint.save_{part}': False})
        more = {**short, 'train_cfg.max_iters': 5, f'default_hooks.checkpoint.save_{part}': False}
        with pytest.raises(ValueError, match=f'iter_3.pth was saved without its {part}'):
            run(train_config, 'one', 'train', more, resume=True)

    def test_the_images_come_from_the_data_sets(self, train_config, run, monkeypatch):
        short = {'train_cfg.max_iters': 3, 'val_cfg': None}
        for name in ('a', 'b'):
            images = {'train_dataloader.dataset': [name]}
            monkeypatch.setattr('bmtas.engine.build.check_data', lambda *_, found=images: found)
            if name == 'a':
                run(train_config, 'one', 'train', short)
        with pytest.raises(ValueError, match="number 1 was 'a', now it is 'b'"):
            run(train_config, 'one', 'train', short, resume=True)

    def test_what_may_change(self, train_config, run):
        short = {'train_cfg.max_iters': 3, 'val_cfg': None}
        run(train_config, 'one', 'train', short)
        changed = {
            **short,
            'train_cfg.max_iters': 5,
            'default_hooks.checkpoint.interval': 1,
            'default_hooks.logger.interval': 1,
            'train_dataloader.pin_memory': False,
        }
        assert run(train_config, 'one', 'train', changed, resume=True).iter == 5

    def test_checkpoints_of_an_earlier_run_are_passed_over(self, train_config, run, tmp_path):
        short = {'train_cfg.max_iters': 3, 'val_cfg': None}
        run(train_config, 'old', 'train', {**short, 'train_cfg.max_iters': 6})
        run(train_config, 'new', 'train', short)
        shutil.copy(tmp_path / 'old' / 'iter_6.pth', tmp_path / 'new')
        more = {**short, 'train_cfg.max_iters': 8}
        runner = run(train_config, 'new', 'train', more, resume=True)
        assert runner.iter == 8
        log = ''.join(p.read_text() for p in (tmp_path / 'new').glob('*/*.log'))
        assert 'iter_6.pth is of another run; trying an older one' in log
        assert 'iter_3.pth at update 3' in log

    def test_two_at_once(self, train_config, run, tmp_path):
        lock = FolderLock(tmp_path / 'busy')
        with pytest.raises(ValueError, match=f'process {os.getpid()} on .* is running in this'):
            run(train_config, 'busy', 'train')
        lock.release()

    def test_damaged_identity(self, tmp_path):
        good = dict(version=VERSION, run='r', identity={'a': 1}, images={'x': 'eNpLBAAAYgBi'})
        bad = [good | {key: wrong} for key in good for wrong in (None, 99, True, 'x', [])]
        bad = [content for content in bad if content['run'] != 'x']
        for text in ('{', '[]', *map(json.dumps, bad)):
            (tmp_path / RUN).write_text(text)
            with pytest.raises(ValueError, match=r'run\.json'):
                WorkDir(tmp_path).claim({'a': 1}, resume=True, images={'x': ['b']})

    def test_the_images_belong_to_the_run(self, tmp_path):
        def claim(names, root='/data', **options):
            work_dir = WorkDir(tmp_path)
            cfg = dict(dataset=dict(data_root=root))
            try:
                work_dir.claim(cfg, images={'train_dataloader.dataset': names}, **options)
            finally:
                work_dir.release()
            return work_dir.run

        first = claim(['a', 'b', 'c'])
        (tmp_path / 'iter_1.pth').touch()
        assert claim(['a', 'b', 'c'], '/moved', resume=True) == first
        for names, words in (
            (['a', 'x', 'c'], "dataset: number 2 was 'b', now it is 'x'"),
            (['a', 'c', 'b'], "dataset: number 2 was 'b', now it is 'c'"),
            (['a', 'b'], "dataset: 3 images, now 2; number 3 was 'c', now it is none"),
            (['a', 'b', 'c', 'd'], "3 images, now 4; number 4 was none, now it is 'd'"),
        ):
            for options in ({'resume': True}, {}):
                with pytest.raises(ValueError, match='on other images.*' + re.escape(words)):
                    claim(names, **options)
        assert claim(['x'], overwrite=True) != first

    def test_identity(self):
        cfg = dict(
            model=dict(type='A', weights='/data/x/w.pth'),
            train_cfg=dict(max_iters=3, order='joint'),
            train_dataloader=dict(num_workers=2, batch_size=4, dataset=dict(data_root='/a')),
            hook=[dict(interval=3, x=float('inf'))],
            work_dir='w',
            f=len,
            _own=3,
        )
        assert identity_of(cfg) == {
            'model.type': 'A',
            'model.weights': 'w.pth',
            'train_cfg.order': 'joint',
            'train_dataloader.batch_size': 4,
            'hook': 1,
            'hook.0.interval': 3,
            'hook.0.x': 'inf',
            'f': 'len',
        }
        assert first_difference({'a': 1}, {'a': 1}) == ''

    @pytest.mark.parametrize(
        ('key', 'free'),
        [
            *((key, True) for key in ('method', 'budget', 'data_root', 'train_cfg.max_iters')),
            *((key, True) for key in ('train_dataloader.num_workers', 'model.tasks.sal.draw')),
            *((key, True) for key in ('default_hooks.logger.interval', 'search.log.interval')),
            *((key, True) for key in ('search.count', 'search.decode', 'search.val_interval')),
            *((key, True) for key in ('val_dataloader.dataset.dataset.data_root', 'tasks.a.draw')),
            # the same words in other places
            *((key, False) for key in ('train_cfg.balancing.method', 'search.method')),
            *((key, False) for key in ('train_cfg.draw', 'search.source', 'resources.device')),
            *((key, False) for key in ('custom_hooks.interval', 'search.affinity.interval')),
            *((key, False) for key in ('search.budget', 'search.count.head', 'data.count')),
        ],
    )
    def test_a_word_may_change_in_its_place_only(self, key, free):
        def identity(value):
            for word in reversed(key.split('.')):
                value = {word: value}
            return identity_of(value)

        assert (identity(1) == identity(2)) == free

    def test_a_folder_of_an_earlier_version(self, tmp_path):
        old = dict(version=1, run='r', identity={'train_cfg.lr': 1})
        (tmp_path / RUN).write_text(json.dumps(old))
        (tmp_path / 'iter_1.pth').touch()
        work_dir = WorkDir(tmp_path)
        work_dir.claim({'train_cfg': {'lr': 1, 'draw': 'batch'}}, resume=True, images={'x': ['a']})
        work_dir.release()
        with pytest.raises(ValueError, match='lr was 1, now it is 2'):
            WorkDir(tmp_path).claim({'train_cfg': {'lr': 2}}, resume=True)
        assert first_difference({'a': 1, 'b': 2}, {'a': 1}) == "b was 2, now it is '(none)'"


def test_a_copied_work_dir_leaves_the_original_alone(train_config, run, tmp_path):
    run(train_config, 'original', 'train', {**BEST, 'train_cfg.max_iters': 4})
    before = names(tmp_path / 'original')
    assert any(name.startswith('best_') for name in before)
    shutil.copytree(tmp_path / 'original', tmp_path / 'copy')
    # every later validation is better than the best so far
    better = CountingScore()
    run(train_config, 'copy', 'train', BEST, resume=True, hooks=[better])
    assert names(tmp_path / 'original') == before
    state = load_state(checkpoints_of(tmp_path / 'copy')[0])
    assert '/' not in state['message_hub']['runtime_info']['best_ckpt']
    assert [n for n in names(tmp_path / 'copy') if n[:5] == 'best_'] == [
        'best_semseg_mIoU_iter_8.pth'
    ]


class CountingScore(Hook):
    priority = 'VERY_HIGH'

    def after_val_epoch(self, runner, metrics=None):
        metrics['semseg/mIoU'] = 100.0 + runner.iter


def test_crafted_paths_are_not_followed(train_config, run, tmp_path):
    run(train_config, 'a', 'train', {**BEST, 'train_cfg.max_iters': 4})
    victim = tmp_path / 'victim.txt'
    victim.write_text('mine')
    newest = checkpoints_of(tmp_path / 'a')[0]
    state = load_state(newest)
    state['message_hub']['runtime_info']['best_ckpt'] = str(victim)
    torch.save(state, newest)
    run(train_config, 'a', 'train', BEST, resume=True, hooks=[CountingScore()])
    assert victim.read_text() == 'mine'


def test_extended_run_follows_the_schedule_of_its_length(train_config, run, tmp_path):
    class Rates(Hook):
        def __init__(self):
            self.seen = {}

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            self.seen[runner.iter] = runner.optim_wrapper.get_lr()['lr'][0]

    warm = dict(type='LinearLR', start_factor=0.1, begin=0, end=3, by_epoch=False)
    poly = dict(type='PolyLR', power=0.9, begin=3, by_epoch=False)
    options = {'param_scheduler': [warm, poly], 'val_cfg': None}
    whole, extended = Rates(), Rates()
    run(train_config, 'whole', 'train', {**options, 'train_cfg.max_iters': 9}, hooks=[whole])
    run(train_config, 'parts', 'train', {**options, 'train_cfg.max_iters': 5})
    longer = {**options, 'train_cfg.max_iters': 9}
    run(train_config, 'parts', 'train', longer, resume=True, hooks=[extended])
    assert extended.seen == {update: whole.seen[update] for update in range(5, 9)}
    assert extended.seen[7] > 0
    with pytest.raises(ValueError, match='is of update 9, the config ends after 7'):
        run(train_config, 'parts', 'train', {**options, 'train_cfg.max_iters': 7}, resume=True)


class TestNotFinite:
    def test_loss(self, train_config, run, tmp_path):
        def poison(runner):
            with torch.no_grad():
                next(runner.model.heads['depth'].parameters()).fill_(float('nan'))

        with pytest.raises(ValueError, match='update 4: loss_depth is nan; the run stops'):
            run(train_config, 'nan', 'train', hooks=[PoisonHook(4, poison)])
        assert names(tmp_path / 'nan') == ['iter_3.pth']

    @pytest.mark.parametrize('order', ['joint', 'sequential'])
    def test_gradient(self, train_config, run, order):
        def poison(runner):
            weight = next(runner.model.heads['sal'].parameters())
            weight.register_hook(lambda gradient: gradient * float('inf'))

        words = 'the gradient of loss_sal' if order == 'sequential' else 'the gradient'
        with pytest.raises(ValueError, match=f'update 1: {words} is (nan|inf)'):
            run(
                train_config,
                'nan',
                'train',
                {'train_cfg.order': order},
                hooks=[PoisonHook(1, poison)],
            )

    def test_a_search_at_a_huge_rate_announces_no_tree(self, search_config, run, tmp_path):
        options = {
            'optim_wrapper.weights.optimizer.lr': 1e30,
            'optim_wrapper.alpha.optimizer.lr': 1e30,
        }
        with pytest.raises(ValueError, match=r'update \d+: .*(nan|inf|not finite)'):
            run(search_config, 'huge', 'search', options)
        assert not (tmp_path / 'huge' / 'branching.json').exists()

    def test_weights_at_the_very_end(self, train_config, run, tmp_path):
        class Last(Hook):
            priority = 'VERY_HIGH'

            def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
                if runner.iter == 7:
                    with torch.no_grad():
                        next(runner.model.parameters()).fill_(float('inf'))

        with pytest.raises(ValueError, match='update 7: 1 of .* weights are not finite'):
            run(train_config, 'end', 'train', {'val_cfg': None}, hooks=[Last()])
        assert names(tmp_path / 'end') == ['iter_6.pth']


class TestLoadFrom:
    def test_report_and_refusal(self, train_config, run, tmp_path):
        short = {'train_cfg.max_iters': 1, 'val_cfg': None}
        run(train_config, 'source', 'train', short)
        source = tmp_path / 'source' / 'iter_1.pth'
        wider = {**short, 'load_from': str(source), 'model.head.width': 12}
        run(train_config, 'wider', 'train', wider)
        (log,) = (tmp_path / 'wider').glob('*/*.log')
        assert 'of another shape, e.g. heads.semseg' in log.read_text()
        state = {f'net.{key}': value for key, value in load_state(source)['state_dict'].items()}
        torch.save(state, tmp_path / 'prefixed.pth')
        words = r"does not fit the model: 0 of .* e\.g\. net\..*file's names begin with 'net\.'"
        with pytest.raises(ValueError, match=words):
            run(train_config, 'x', 'train', {**short, 'load_from': str(tmp_path / 'prefixed.pth')})

    def test_fit(self):
        model = torch.nn.Linear(2, 3)
        state = {'module.weight': torch.ones(3, 2), 'bias': torch.ones(4), 'more': torch.ones(1)}
        fit = load_fitting(model, state, partly=True)
        assert fit.describe() == (
            '1 of 2 tensors loaded; 1 of another shape, e.g. bias: (4,) there, (3,) here; '
            '1 of the file unused, e.g. more'
        )
        assert torch.equal(model.weight, torch.ones(3, 2))
        wrapped = torch.nn.Sequential(model)
        described = load_fitting(wrapped, model.state_dict(), partly=True).describe()
        assert described.endswith("; the model's names begin with '0.', the file's do not")
        before = model.weight.clone()
        load_fitting(model, {'weight': torch.zeros(3, 2)}, partly=False)
        assert torch.equal(model.weight, before)
