"""Predictors of the public tool, the path that its loop walks with them, and bmtas ncp."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bmtas.cli.base import run_tool
from bmtas.engine.config import load_config
from bmtas.ncp.cli import main
from bmtas.ncp.code_search import REFERENCE_START
from bmtas.ncp.codes import IS_COUNT, NetworkCode
from bmtas.ncp.cost import RECORD_COST
from bmtas.ncp.data import RecordTable, load_records
from bmtas.ncp.predictor import load_predictor
from bmtas.ncp.public import import_public_predictor
from bmtas.ncp.spaces import MultiResolutionSpace
from bmtas.registry import MODELS, STRATEGIES

ROOT = Path(__file__).parents[2]
NAMES = ('mIoU', 'mAcc', 'aAcc', 'flops', 'params')


class PublicNetwork(nn.Module):
    """The predictor as the paper's public tool builds it; only the names matter here."""

    def __init__(self, inputs=27, groups=(1, 2, 2), hidden=24, width=12):
        super().__init__()
        self.fc = nn.Sequential(
            nn.BatchNorm1d(inputs), nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.SiLU(),
            nn.Dropout(0.5),
        )  # fmt: skip
        self.nets = nn.ModuleList(
            nn.Sequential(
                nn.Linear(hidden, width), nn.BatchNorm1d(width), nn.SiLU(), nn.Dropout(0.5),
                nn.Linear(width, size),
            )
            for size in groups
        )  # fmt: skip

    def forward(self, x):
        x = self.fc(x)
        return torch.cat([net(x) for net in self.nets], dim=1)


@pytest.fixture
def public(tmp_path):
    """A public network with random weights and statistics, its file, and records."""
    torch.manual_seed(0)
    network = PublicNetwork().eval()
    for name, value in network.state_dict().items():
        if name.endswith('running_var'):
            value.uniform_(0.5, 2)
        elif value.is_floating_point():
            value.copy_(torch.randn_like(value) * 0.6)
    path = tmp_path / 'best_model.pth'
    torch.save(network.state_dict(), path)
    generator = np.random.default_rng(0)
    codes = MultiResolutionSpace('coarse').random(80, generator)
    columns = {name: 3 + 2 * generator.random(80) for name in NAMES}
    return network, path, RecordTable(codes, columns)


def test_imported_weights_predict_what_the_public_network_predicts(public):
    network, path, table = public
    model = import_public_predictor(path, table, 'seg')
    assert model.names == NAMES and model.members == 1
    codes = MultiResolutionSpace('full').random(9, np.random.default_rng(1))
    x = (codes - table.codes.mean(0)) / table.codes.std(0)
    values = table.values(NAMES)
    expected = network(torch.tensor(x).float()).detach().numpy() * values.std(0) + values.mean(0)
    np.testing.assert_allclose(model(torch.tensor(codes).float())[:, 0], expected, rtol=1e-4)


def test_reference_mode_walks_the_public_path_with_public_weights(public):
    """The loop as the public tool has it, on the public network itself."""
    network, path, table = public
    network.requires_grad_(False)
    mean, std = (torch.tensor(f(table.codes, axis=0)).float() for f in (np.mean, np.std))
    lower = torch.tensor([1.0 if count else 8.0 for count in IS_COUNT])
    upper = torch.tensor([4.0 if count else 128.0 for count in IS_COUNT])
    code = (torch.tensor(REFERENCE_START).float() - mean) / std
    rounded, expected, l1 = list(REFERENCE_START), [], nn.L1Loss()
    for _ in range(71):
        expected.append(rounded)
        code = code.detach().clone().requires_grad_(True)
        out = network(code[None])[0]
        loss = l1(out[0], out[0].detach() + 0.1) + 0.5 * l1(out[-2], out[-2].detach() - 0.1)
        loss.backward()
        code = (code.detach() - 3 * code.grad).clamp((lower - mean) / std, (upper - mean) / std)
        raw = (code * std + mean).tolist()
        rounded = [
            max(low, int(value + low / 2) // low * low)
            for value, low in zip(raw, lower.int().tolist())
        ]
    import_public_predictor(path, table, 'seg').export(path.with_name('predictor.pth'))
    predictors = {'seg': str(path.with_name('predictor.pth'))}
    search = STRATEGIES.build(dict(type='CodePropagation', reference=True, predictors=predictors))
    walked = search.search(np.array(REFERENCE_START)[None], np.random.default_rng(0))
    assert [step.codes[0].tolist() for step in walked.evaluations] == expected
    assert len({tuple(code) for code in expected}) > 8


def test_the_reference_predictor_is_the_network_of_the_paper():
    cfg = load_config(ROOT / 'configs' / 'ncp' / 'predictor_seg_reference.py')
    model = MODELS.build(cfg.model)
    published = PublicNetwork(27, (1, 2, 2), 256, 128)
    sizes = [sum(p.numel() for p in network.parameters()) for network in (model, published)]
    assert sizes == [107_835, 107_835]
    assert [head['dropout'] for head in model.config['heads']] == [0.5, 0.5, 0.0]


@pytest.fixture(scope='module')
def tool():
    return lambda *args: run_tool(main, [str(a) for a in args])


def write_records(table, folder, setting='seg'):
    rows = [
        dict(embedding=code, **dict(zip(NAMES, values)))
        for code, values in zip(table.codes.tolist(), table.values(NAMES).tolist())
    ]
    (folder / f'{setting}.pkl').write_bytes(pickle.dumps(rows))


def test_tool_imports_and_names_mistakes(public, tool, tmp_path, capsys):
    _, path, table = public
    write_records(table, tmp_path)
    out = tmp_path / 'new' / 'predictor.pth'
    options = ('--setting', 'seg', '--data-root', tmp_path, '--out', out)
    assert tool('import', path, *options) == 0
    codes = torch.tensor(table.codes).float()
    expected = import_public_predictor(path, table, 'seg')(codes)
    torch.testing.assert_close(load_predictor(out)(codes), expected)
    assert 'predictor of mIoU' in capsys.readouterr().out
    assert tool('import', out, *options) == 2
    assert 'no weights of the public tool' in capsys.readouterr().err
    assert tool('import', tmp_path / 'absent.pth', *options) == 2
    assert 'no such file' in capsys.readouterr().err
    torch.save(PublicNetwork(30).state_dict(), path)
    assert tool('import', path, *options) == 2
    assert 'a network of 30 numbers' in capsys.readouterr().err


def test_tool_exports_records(public, tool, tmp_path, capsys):
    table = public[2]
    for setting in ('seg', 'seg-4x'):
        write_records(table, tmp_path, setting)
    for name, settings in (('a.npz', ['seg']), ('b.json', ['seg', 'seg-4x'])):
        assert tool('records', *settings, '--data-root', tmp_path, '--out', tmp_path / name) == 0
        again = RecordTable.from_file(tmp_path / name)
        assert np.array_equal(again.codes, table.codes)
        assert np.array_equal(again['flops'], table['flops'])
    assert '80 records in' in capsys.readouterr().out
    assert np.array_equal(again['seg-4x/mAcc'], load_records(tmp_path, 'seg-4x')['mAcc'])
    assert tool('records', 'seg', '--data-root', tmp_path, '--out', tmp_path / 'c.csv') == 2
    assert tool('records', '3ddet', '--data-root', tmp_path, '--out', tmp_path / 'c.npz') == 2
    assert 'never published' in capsys.readouterr().err


def test_tool_shows_a_code(tool, tmp_path, capsys):
    code = NetworkCode(tuple(REFERENCE_START))
    (tmp_path / 'ncp.json').write_text(json.dumps({'chosen': {'code': list(code)}}))
    assert tool('code', tmp_path / 'ncp.json') == 0
    shown = capsys.readouterr().out
    assert code.text in shown and '4,126,739 parameters' in shown
    assert '1,985,482,752 (thop)' in shown
    assert f'flops {RECORD_COST.madds(code) / 1e9:.6f} G' in shown
    assert tool('code', '1,2,3') == 2
    assert '27 numbers, got 3' in capsys.readouterr().err
