"""benchmarks/real_data.py asks for runs that the tools accept, and sees whether they converged."""

import json
from argparse import Namespace

import pytest

from bmtas.cli import search, test, train
from bmtas.engine import PROGRAM, load_config


@pytest.fixture
def script(load_script):
    return load_script('real_data')


@pytest.mark.parametrize('half', [False, True])
@pytest.mark.parametrize('data', ['tabletop', 'camvid'])
def test_tools_and_configs_accept_every_command(script, tmp_path, data, half):
    tools, seen = dict(search=search, train=train, test=test), set()
    given = dict(data=data, data_root=tmp_path / 'data', updates=800, count=6, length=0.5)
    if half:
        script.half_configs(tmp_path, data)
    for job in script.jobs_of(tmp_path, Namespace(half=half, **given), 1):
        assert set(job.after) <= seen
        seen.add(job.name)
        commands = [command[len(PROGRAM) :] for command in job.commands()]
        assert [name for name, *_ in commands][-2:] == ['train', 'test']
        for name, *argv in commands:
            args = tools[name].parse_args(argv)
            cfg = load_config(args.config, args.cfg_options, args.data_root, args.work_dir)
            assert cfg.randomness.seed == 1
            whole = load_config(f'shared/mobilenetv2_{data}').input_size
            assert tuple(cfg.input_size) == tuple(n // (1 + half) for n in whole)
            if name == 'train':
                assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (800, 200)
        if job.name.endswith(('bmtas', 'random')):
            assert commands[0][0] == 'search' and '--budget' in commands[0]
            tree = str(job.folder / 'search' / 'branching.json')
            assert commands[1][commands[1].index('--branching') + 1] == tree
    assert [name.split('/')[-1] for name in sorted(seen)] == sorted(script.METHODS)


def test_gain_of_the_last_validation(script, tmp_path):
    names = dict(seg='mIoU', depth='rmse')
    content = dict(
        version=1, tasks=list(names), score_names=names, scores=dict(seg=1, depth=1), metrics={},
        higher_is_better=dict(seg=True, depth=False),
    )  # fmt: skip
    (tmp_path / 'results.json').write_text(json.dumps(content))
    rows = [
        {'step': 100, 'seg/mIoU': 10.0, 'depth/rmse': 9.0},
        {'step': 150, 'loss': 1.0},
        {'step': 200, 'seg/mIoU': 40.0, 'depth/rmse': 2.0},
    ]
    first = tmp_path / '2030_1' / 'vis_data' / 'scalars.json'
    first.parent.mkdir(parents=True)
    first.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    resumed = tmp_path / '2030_2' / 'vis_data' / 'scalars.json'
    resumed.parent.mkdir(parents=True)
    resumed.write_text(json.dumps({'step': 300, 'seg/mIoU': 50.0, 'depth/rmse': 1.0}) + '\n')
    assert script.last_gain(tmp_path) == pytest.approx((25 + 50) / 2)
    resumed.unlink()
    first.write_text(json.dumps(rows[0]) + '\n')
    with pytest.raises(ValueError, match='fewer than two validations'):
        script.last_gain(tmp_path)
