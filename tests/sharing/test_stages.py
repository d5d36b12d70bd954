"""Stages: their configs, runs that are killed and resumed, tasks that are added, wrong starts."""

import hashlib
import json
import multiprocessing
import os
import re
import socket

import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.visualization import Visualizer
from sharing_configs import ROOT, write_config

from bmtas import plug_ins
from bmtas.cli.base import run_tool
from bmtas.datasets import ShapeScenes
from bmtas.engine.config import load_config
from bmtas.registry import MODELS
from bmtas.resources import without_weights

CONFIGS = sorted((ROOT / 'configs' / 'sharing').glob('*.py'))
STAGES = ('base', 'gates', 'support', 'align')


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Options of the plug-in as if it were installed."""
    from bmtas.engine import build
    from bmtas.sharing import arguments

    for module in (plug_ins, build, __import__('bmtas.cli.base').cli.base):
        monkeypatch.setattr(module, 'plug_in_arguments', lambda: [arguments])


def call(main, *words):
    """Run a command in this process; returns its exit code."""
    for singleton in (MessageHub, MMLogger, Visualizer):
        singleton._instance_dict.clear()
    return run_tool(main, [str(word) for word in words])


def share(config, folder, *words):
    from bmtas.sharing.share_cli import main

    return call(main, config, '--work-dir', folder, '--sheet', 0, *words)


def weights(folder):
    return torch.load(folder / 'network.pth', weights_only=True)['state_dict']


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(second[name], value), name


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_every_stage_of_every_config_runs_one_batch(path):
    from bmtas.sharing.section import stage_config, stages_of

    cfg = load_config(path)
    cfg.model.encoder.backbone.update(dim=16, depth=2, heads=2, patch=8)
    cfg.model.head.embed_dim = 64
    for task in cfg.tasks.values():
        if 'head' in task:
            task['head']['embed_dim'] = 32
    base, other = cfg.sharing.base_task, next(t for t in cfg.tasks if t == 'normals')
    for task in (base, other):
        for stage in stages_of(cfg, task):
            own = stage_config(cfg, stage, task)
            model = MODELS.build(without_weights(own.model)).train()
            model.encoder.generator_seed = 0
            data = ShapeScenes(
                labels=[task], size=32, clip=2, neighbours=(1,), pipeline=[dict(type='PackSample')]
            )
            batch = {k: [data[i][k] for i in (0, 1)] for k in data[0]}
            losses = model(**model.data_preprocessor(batch, True), mode='loss')
            sum(losses.values()).backward()
            assert all(bool(v.isfinite()) for v in losses.values())
            assert ('loss_gates' in losses) == (stage == 'gates'), (stage, losses)


def test_share_runs_all_stages_and_adds_a_task(tmp_path, capsys):
    config, folder = write_config(tmp_path), tmp_path / 'w'
    assert share(config, folder, '--tasks', 'normals') == 0
    found = json.loads((folder / 'results.json').read_text())
    assert found['tasks'] == ['semseg', 'normals']
    for key in ('madds', 'madds_dense', 'madds_effective', 'cache_bytes'):
        assert found[key] > 0
    assert found['density']['normals']['weights'] == pytest.approx(0.05, abs=1e-3)
    assert set(found['latency_ms']) == set(found['delta_bytes']) == {'semseg', 'normals'}
    before = hashes(folder)
    assert share(config, folder, '--tasks', 'depth') == 0
    after = hashes(folder)
    joint = {'network.pth', 'results.json'}
    assert all(after[name] == value for name, value in before.items() if name not in joint)
    assert 'deltas/depth.delta' in after and 'depth/align/iter_3.pth' in after
    assert json.loads((folder / 'results.json').read_text())['tasks'] == [
        'semseg',
        'normals',
        'depth',
    ]
    changed = ('--cfg-options', 'sharing.density=0.5')
    assert share(config, folder, '--tasks', 'depth', *changed) == 2
    error = capsys.readouterr().err
    assert 'support: this stage was finished with another config (sharing.density was' in error
    check_delta_of_a_new_task(load_config(config), folder)
    check_calibration_and_export(config, folder, capsys)


def hashes(folder):
    """Hash of every checkpoint, delta and result below a folder."""
    files = [p for p in folder.rglob('*') if p.suffix in ('.pth', '.delta', '.json')]
    own = [p for p in files if 'vis_data' not in p.parts and not p.parent.name.startswith('20')]
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in own
        if p.name in ('network.pth', 'results.json') or p.suffix in ('.delta', '.pth')
    }


def check_delta_of_a_new_task(cfg, folder):
    """A delta file in a bare network of the base gives the task's network, bit for bit."""
    from bmtas.sharing.share import add_delta, build_network

    trained = weights(folder)
    model = build_network(cfg, ['semseg', 'normals'])
    base = {k: v for k, v in trained.items() if '.deltas.' not in k and '.depth.' not in k}
    model.load_state_dict({k: v for k, v in base.items() if 'heads.normals' not in k}, strict=False)
    add_delta(model, folder / 'deltas' / 'normals.delta')
    images = torch.rand(1, 3, 32, 32)
    whole = build_network(cfg, ['semseg', 'normals', 'depth'])
    whole.load_state_dict(trained)
    with torch.no_grad():
        found = model.eval()(images)['normals']
        assert torch.equal(found, whole.eval()(images)['normals'])
    with torch.no_grad():
        model.encoder.layers[0].mlp.fc1.weight[0, 0] += 1
    with pytest.raises(ValueError, match='made for base .* this base is'):
        add_delta(model, folder / 'deltas' / 'normals.delta')


@pytest.mark.slow
def test_deltas_of_another_run_are_added(tmp_path, capsys):
    config, theirs, ours = write_config(tmp_path), tmp_path / 'theirs', tmp_path / 'ours'
    assert share(config, theirs, '--tasks', 'normals', 'depth', '--half') == 0
    normals, depth = (theirs / 'deltas' / f'{task}.delta' for task in ('normals', 'depth'))
    assert share(config, ours, '--add', normals) == 2
    assert "the base 'semseg' is not trained in" in capsys.readouterr().err
    assert share(config, ours, '--tasks', 'edge') == 0
    bad, content = tmp_path / 'bad.delta', normals.read_bytes()
    for change, message in (
        (content[:-9], 'truncated or edited'),
        (content.replace(b'"version": 1', b'"version": 9'), 'version 9 is newer'),
        (b'', 'not written by bmtas share'),
    ):
        bad.write_bytes(change)
        before = hashes(ours)
        assert share(config, ours, '--add', depth, bad) == 2
        error = capsys.readouterr().err
        assert message in error and 'bad.delta' in error
        assert hashes(ours) == before
    assert share(config, ours, '--add', normals, normals) == 2
    assert "a second delta of task 'normals'" in capsys.readouterr().err
    other_table = ('--cfg-options', 'tasks.depth.head.embed_dim=32')
    assert share(config, ours, '--add', depth, *other_table) == 2
    error = capsys.readouterr().err
    assert 'depth.delta' in error and 'take the table of tasks that it was trained with' in error
    assert share(config, ours, '--add', normals, depth) == 0
    found = json.loads((ours / 'results.json').read_text())
    assert found['tasks'] == ['semseg', 'normals', 'depth', 'edge']
    exact, rounded = weights(theirs), weights(ours)
    for name, value in exact.items():
        own = name.startswith(('encoder.deltas.', 'heads.')) and '.semseg.' not in name
        support = exact.get(name.removesuffix('.delta') + '.support')
        value = value if support is None or not own else value * support
        own = own and value.is_floating_point()
        assert torch.equal(rounded[name], value.half().float() if own else value), name
    assert share(config, ours, '--tasks', 'normals') == 2  # else training would replace the file
    assert "'normals' came as a delta" in capsys.readouterr().err
    assert (ours / 'deltas' / 'normals.delta').read_bytes() == content
    assert share(config, ours, '--add', ours / 'deltas' / 'edge.delta') == 2
    assert "'edge' is trained in" in capsys.readouterr().err
    assert share(config, theirs) == 0  # the rest is trained, the files in float16 stay
    assert normals.read_bytes() == content
    seed = ('--cfg-options', 'randomness.seed=1')
    assert share(config, tmp_path / 'other', '--tasks', 'edge', *seed) == 0
    assert share(config, tmp_path / 'other', '--add', normals, *seed) == 2
    assert re.search(r'made for base \w{16}, this base is \w{16}', capsys.readouterr().err)


def test_overwriting_trains_all_anew(tmp_path, capsys):
    config, folder = write_config(tmp_path), tmp_path / 'w'
    assert share(config, folder, '--tasks', 'normals') == 0
    before = hashes(folder)
    seed = ('--cfg-options', 'randomness.seed=1')
    assert share(config, folder, '--tasks', 'normals', *seed) == 2
    assert '--overwrite trains all anew' in capsys.readouterr().err
    assert share(config, folder, '--tasks', 'normals', '--overwrite', *seed) == 0
    after = hashes(folder)
    assert before.keys() == after.keys()
    assert all(after[name] != value for name, value in before.items())


def check_calibration_and_export(config, folder, capsys):
    from bmtas.cli.export import main as export
    from bmtas.cli.test import main as test
    from bmtas.sharing.calibrate_cli import main as calibrate

    network, file = folder / 'network.pth', folder / 't.json'
    torch.save(dict(meta={}, state_dict={}, encoder={}), folder / 'supergraph.pth')
    words = (config, folder / 'supergraph.pth', '--rows', 0.5, '--out', file)
    assert call(calibrate, *words, '--work-dir', folder / 'c') == 2
    assert 'supergraph.pth does not fit the model of' in capsys.readouterr().err
    words = (config, network, '--rows', 0.5, '--images', 4, '--out', file)
    assert call(calibrate, *words, '--work-dir', folder / 'c') == 0
    rows = ('--cfg-options', 'model.encoder.rows=True')
    words = (config, network, '--thresholds', file, '--work-dir', folder / 't', '--sheet', 0)
    assert call(test, *words, *rows) == 0
    found = json.loads((folder / 't' / 'results.json').read_text())
    assert found['madds'] < found['madds_dense']
    assert 0.2 < found['density']['normals']['rows'] < 0.7
    assert call(test, *words) == 2
    assert 't.json: made for rows, the encoder thresholds elements' in capsys.readouterr().err
    content = json.loads(file.read_text()) | dict(network='other')
    file.write_text(json.dumps(content))
    assert call(test, *words, *rows) == 2
    assert 't.json: made for network other, this one is' in capsys.readouterr().err
    words = (config, network, '--format', 'torch-export', '--out', folder / 'm.pt2')
    assert call(export, *words) == 2
    assert '--task: a base with deltas is exported merged' in capsys.readouterr().err
    assert call(export, *words, '--task', 'normals') == 0
    check_onnx(config, network, folder / 'm.onnx')
    check_goals(config, network, folder, capsys)


def check_goals(config, network, folder, capsys):
    """A budget of multiply-adds, a largest loss of score; the test agrees with the calibration."""
    from bmtas.cli.test import main as test
    from bmtas.sharing.calibrate_cli import main as calibrate

    def run(*words):
        file = folder / 'goal.json'
        words = (config, network, *words, '--images', 4, '--out', file, '--work-dir', folder / 'c')
        code = call(calibrate, *words)
        return code, json.loads(file.read_text()) if code == 0 else capsys.readouterr().err

    for rows, kind in ((False, 'effective'), (True, 'executed')):
        code, found = run('--budget', 0.85, '--cfg-options', f'model.encoder.rows={rows}')
        madds = found['madds']
        # the smallest share that meets it, to 1/128
        assert code == 0 and 0.83 < madds[kind] / madds['dense'] <= 0.85, (rows, madds)
    assert 'ms for one image' in capsys.readouterr().out  # beside the effective figure
    assert (
        '--budget: 0.01 of the separate networks cannot be had, the least'
        in run('--budget', 0.01)[1]
    )
    assert '--rows: must be in 0 to 1, got 1.5' in run('--rows', 1.5)[1]
    assert '--drop: must be' in run('--drop', -1)[1]
    assert '--split val or test' in run('--drop', 1, '--split', 'train')[1]
    code, found = run('--drop', 1e9)
    assert code == 0 and min(found['shares'].values()) > 0.98  # anything may be lost
    code, found = run('--drop', 3)
    scores = []
    for more in ((), ('--thresholds', folder / 'goal.json')):
        split = ('--cfg-options', 'test_dataloader.dataset.split=val')
        words = (config, network, '--work-dir', folder / 't', '--sheet', 0, *more, *split)
        assert call(test, *words) == 0
        scores.append(json.loads((folder / 't' / 'results.json').read_text()))
    for name, best in scores[0]['scores'].items():
        sign = 1 if scores[0]['higher_is_better'][name] else -1
        assert 100 * sign * (best - scores[1]['scores'][name]) <= 3 * abs(best) + 1e-6, name


def check_onnx(config, network, file):
    """A merged task in ONNX Runtime predicts what the shared network does."""
    pytest.importorskip('onnxscript')
    runtime = pytest.importorskip('onnxruntime')
    from bmtas.apis import load_model, predict
    from bmtas.cli.export import main as export

    words = ('--task', 'normals', '--format', 'onnx', '--out', file)
    assert call(export, config, network, *words) == 0
    image = torch.randint(0, 256, (3, 32, 32)).float()
    session = runtime.InferenceSession(str(file), providers=['CPUExecutionProvider'])
    found = torch.from_numpy(session.run(None, {'images': image[None].numpy()})[0])
    expected = predict(load_model(config, network)[1], image)['normals']
    assert torch.allclose(found[0], expected, atol=1e-4)


def test_clips_from_the_config_to_the_results(tmp_path, capsys):
    from bmtas.cli.test import main as test
    from bmtas.sharing.calibrate_cli import main as calibrate

    config, folder = write_config(tmp_path, 'vit_clips_shapescenes'), tmp_path / 'w'
    assert share(config, folder, '--tasks', 'normals') == 0
    assert (folder / 'semseg' / 'temporal' / 'iter_3.pth').is_file()
    whole = json.loads((folder / 'results.json').read_text())['clips']
    assert set(whole['scores']) == {'key', 'other'} and len(whole['madds']['executed']) == 8
    network, file = folder / 'network.pth', tmp_path / 't.json'
    words = (config, network, '--work-dir', tmp_path / 'c')
    assert call(calibrate, *words, '--rows', 0.5, '--images', 4, '--out', file) == 0
    assert set(json.loads(file.read_text())['thresholds']) == {'task', 'temporal'}
    words = (config, network, '--work-dir', tmp_path / 't', '--thresholds', file, '--sheet', 0)
    assert call(test, *words) == 0
    executed = json.loads((tmp_path / 't' / 'results.json').read_text())['clips']['madds'][
        'executed'
    ]
    # every fourth frame is a key frame: the base computes it whole
    assert max(executed[1:4] + executed[5:]) < min(executed[0], executed[4])
    assert executed[0] < whole['madds']['dense'][0]
    # the progress counts frames: four clips of eight
    log = next((tmp_path / 't').glob('*/*.log')).read_text()
    assert re.findall(r'test batch .(\d+)/32.  eta \d', log) == [str(i) for i in range(1, 33)]
    single = ('--cfg-options', 'test_dataloader.dataset.clip=1')
    assert call(test, *words, *single) == 2
    assert 'ClipTestLoop needs a data set of clips' in capsys.readouterr().err


class Stop(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize('stage', (*STAGES, 'temporal'))
def test_a_kill_in_any_stage_changes_nothing(tmp_path, monkeypatch, stage):
    from bmtas.sharing.loops import SharingTrainLoop

    name = 'vit_clips_shapescenes' if stage == 'temporal' else 'vit_shapescenes'
    config, update = write_config(tmp_path, name), SharingTrainLoop.update
    assert share(config, tmp_path / 'whole', '--tasks', 'edge') == 0

    def killed(self, batch):
        if self.runner.model.encoder.stage == stage and self._iter == 2:
            raise Stop
        return update(self, batch)

    monkeypatch.setattr(SharingTrainLoop, 'update', killed)
    with pytest.raises(Stop):
        share(config, tmp_path / 'killed', '--tasks', 'edge')
    monkeypatch.setattr(SharingTrainLoop, 'update', update)
    assert share(config, tmp_path / 'killed', '--tasks', 'edge') == 2
    assert share(config, tmp_path / 'killed', '--tasks', 'edge', '--resume') == 0
    assert_same(weights(tmp_path / 'whole'), weights(tmp_path / 'killed'))
    first, second = (
        json.loads((tmp_path / name / 'results.json').read_text()) for name in ('whole', 'killed')
    )
    assert first['metrics'] == second['metrics'] and first['density'] == second['density']


def train(config, folder, *words):
    from bmtas.cli.train import main

    return call(main, config, '--work-dir', folder, *words)


def test_stages_by_hand_and_their_wrong_starts(tmp_path, capsys):
    config, folder = write_config(tmp_path), tmp_path / 'w'

    def error(*words):
        assert train(config, folder, *words) == 2
        return capsys.readouterr().err

    assert "starts from stage 'base' of 'semseg', which is not finished" in error(
        '--stage', 'gates', '--task', 'normals'
    )
    assert train(config, folder, '--stage', 'base') == 0
    assert train(config, folder, '--stage', 'gates', '--task', 'normals') == 0
    assert "stage 'support' of task 'edge' starts from stage 'gates' of 'edge'" in error(
        '--stage', 'support', '--task', 'edge'
    )
    other = folder / 'normals' / 'gates' / 'iter_3.pth'
    wrong = ('--cfg-options', f'load_from={other}')
    assert "of stage 'gates' of normals, but stage 'support' of task 'edge'" in error(
        '--stage', 'support', '--task', 'edge', *wrong
    )
    assert 'has been run here; add --resume' in error('--stage', 'gates', '--task', 'normals')
    again = ('--overwrite', '--cfg-options', 'randomness.seed=3')
    assert train(config, folder, '--stage', 'base', *again) == 0
    assert train(config, folder, '--stage', 'base', '--overwrite') == 0
    assert '--task: names whose stage is trained' in error('--task', 'normals')
    assert "no stage 'gates'; it goes through base" in error('--stage', 'gates')
    assert "there is no task 'normal'; did you mean 'normals'" in error(
        '--stage', 'gates', '--task', 'normal'
    )
    assert share(config, folder, '--tasks', 'semseg') == 2
    assert "--tasks: 'semseg' is the base task" in capsys.readouterr().err
    assert train(config, folder, '--stage', 'support', '--task', 'normals') == 0
    state = torch.load(folder / 'normals' / 'support' / 'iter_3.pth', weights_only=True)
    masks = [v for k, v in state['state_dict'].items() if k.endswith('.support')]
    kept, total = sum(int(m.sum()) for m in masks), sum(m.numel() for m in masks)
    assert kept == round(0.05 * total)


def run_rank(rank, world_size, port, config, work_dir, batch):
    """One process of a gate stage that starts from the backbone's weights."""
    if world_size > 1:
        os.environ.update(
            RANK=str(rank),
            WORLD_SIZE=str(world_size),
            LOCAL_RANK=str(rank),
            MASTER_ADDR='127.0.0.1',
            MASTER_PORT=str(port),
        )
    torch.set_num_threads(1)
    from bmtas.engine.train import run_training
    from bmtas.sharing.section import stage_config

    cfg = load_config(config, {'train_dataloader.batch_size': batch}, work_dir=work_dir)
    own = stage_config(cfg, 'gates', 'normals')
    own.launcher = 'pytorch' if world_size > 1 else 'none'
    run_training(own)
    if world_size > 1:
        torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_learn_the_same_gates_as_one(tmp_path):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    config, states = write_config(tmp_path), []
    context = multiprocessing.get_context('forkserver')
    for world, batch in ((1, 4), (2, 2)):
        args = (world, port, config, tmp_path / str(world), batch)
        ranks = [context.Process(target=run_rank, args=(rank, *args)) for rank in range(world)]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join(240)
            assert process.exitcode == 0
        file = tmp_path / str(world) / 'normals' / 'gates' / 'iter_3.pth'
        states.append(torch.load(file, weights_only=True)['state_dict'])
    moved = 0
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-3, atol=2e-4)
        moved += name.endswith('.alpha') and not torch.all(value == 5.0)
    assert moved
