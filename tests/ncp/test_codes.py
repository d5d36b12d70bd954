"""Codes: forms, validation and spaces."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bmtas.ncp.codes import (
    IS_COUNT,
    POSITIONS,
    CodeError,
    NetworkCode,
)
from bmtas.ncp.grid import GRIDS, resolve_positions
from bmtas.ncp.spaces import Budget, MultiResolutionSpace

RECORD_508 = [16, 64, 1, 3, 128, 3, 3, 3, 32, 48, 2, 2, 3, 2, 16, 32, 16, 1, 2, 4, 1, 1]
RECORD_508 += [96, 112, 48, 80, 112]
TEXT_508 = '16_64-1_1_3_128-3_2_3_3_32_48-2_3_2_3_2_16_32_16-1_4_2_4_1_1_96_112_48_80-112'
SETTING_508 = {
    'input_channel': [16, 64],
    'inverted_residual_setting': [
        [1, [3], [128]],
        [2, [3, 3], [32, 48]],
        [2, [3, 3], [32, 48]],
        [2, [3, 3], [32, 48]],
        [3, [2, 3, 2], [16, 32, 16]],
        [3, [2, 3, 2], [16, 32, 16]],
        [4, [2, 4, 1, 1], [96, 112, 48, 80]],
    ],
    'last_channel': 112,
}

codes = st.tuples(
    *(st.integers(1, 4) if count else st.integers(1, 16).map(lambda n: 8 * n) for count in IS_COUNT)
)


def test_the_three_forms_of_a_record_agree():
    code = NetworkCode(tuple(RECORD_508))
    assert code.text == TEXT_508
    assert code.setting() == SETTING_508
    assert NetworkCode.parse(TEXT_508.replace('-', ' - ').replace('_', ' _ ')) == code
    assert NetworkCode.parse(SETTING_508) == code
    assert NetworkCode.parse(', '.join(map(str, RECORD_508))) == code


@settings(max_examples=60, deadline=None)
@given(codes)
def test_any_code_survives_text_and_setting(values):
    code = NetworkCode(values)
    assert NetworkCode.from_text(code.text) == code
    assert NetworkCode.from_setting(code.setting()) == code
    assert len(code.layers) == sum(code.values[i] for i in (2, 5, 10, 17))


def test_json_of_a_propagation_is_a_code(tmp_path):
    path = tmp_path / 'ncp.json'
    path.write_text(json.dumps({'chosen': {'code': RECORD_508}}))
    assert NetworkCode.parse(str(path)).text == TEXT_508
    path.write_text('{"other": 1}')
    with pytest.raises(CodeError, match='chosen.code'):
        NetworkCode.parse(path)
    with pytest.raises(FileNotFoundError, match='absent.json'):
        NetworkCode.parse('absent.json')


@pytest.mark.parametrize(
    ('source', 'message'),
    [
        (RECORD_508[:-1], 'got 26; the last one'),
        ([*RECORD_508, 8], 'got 28'),
        ([12, *RECORD_508[1:]], 'stem.0: 12'),
        ([*RECORD_508[:26], 136], 'last: 136'),
        ([*RECORD_508[:5], 5, *RECORD_508[6:]], 'stage2.repeats: 5'),
        ([*RECORD_508[:5], 1.5, *RECORD_508[6:]], 'stage2.repeats: 1.5'),
        ([*RECORD_508[:5], True, *RECORD_508[6:]], 'stage2.repeats: True'),
        (TEXT_508.replace('3_2_3_3', '3_1_3_3'), 'must have 2 branches'),
        (TEXT_508.rsplit('-', 1)[0], '6 groups'),
        (TEXT_508.replace('32_48', '32'), 'group 3'),
        (TEXT_508.replace('32_48', '32_x'), "'x' must be a whole number"),
        ({'input_channel': [8, 8]}, 'last_channel'),
    ],
)
def test_faulty_codes_are_refused_by_name(source, message):
    with pytest.raises(CodeError, match=message):
        NetworkCode.parse(source)


def test_settings_that_no_code_expands_to_are_refused():
    layers = [list(layer) for layer in SETTING_508['inverted_residual_setting']]
    layers[1][2] = [40, 48]
    with pytest.raises(CodeError, match='stage 2 repeats unequal'):
        NetworkCode.from_setting({**SETTING_508, 'inverted_residual_setting': layers})
    with pytest.raises(CodeError, match='this order'):
        short = SETTING_508['inverted_residual_setting'][:-1]
        NetworkCode.from_setting({**SETTING_508, 'inverted_residual_setting': short})


@pytest.mark.parametrize('grid', list(GRIDS))
def test_draws_and_neighbours_stay_on_their_grid(grid):
    space = MultiResolutionSpace(grid)
    drawn = space.random(50, np.random.default_rng(0))
    assert space.contains(drawn).all()
    assert np.array_equal(drawn, space.random(50, np.random.default_rng(0)))
    near = space.neighbours(drawn[0])
    assert space.contains(near).all() and ((near != drawn[0]).sum(1) == 1).all()
    inner = (drawn[0] > space.lower) & (drawn[0] < space.upper)
    assert len(near) == len(POSITIONS) + inner.sum()
    for code in [*drawn[:5], *near[:5]]:
        NetworkCode(tuple(code.tolist()))


def test_the_two_sampling_grids():
    coarse, fine = (MultiResolutionSpace(g).random(400, np.random.default_rng(1)) for g in GRIDS
                    if g in ('coarse', 'fine'))  # fmt: skip
    assert (coarse[:, ~IS_COUNT] % 16 == 0).all() and coarse.max() == 128
    assert fine[:, ~IS_COUNT].max() == 64 and fine[:, IS_COUNT].max() == 2
    assert coarse[:, :2].max() == 64


def test_rounding_takes_the_nearest_value_and_ties_upwards():
    full = MultiResolutionSpace('full')
    points = np.full(27, 8.0)
    points[IS_COUNT] = 1.0
    points[:5] = [11.99, 12.0, 1.5, 1.49, 400.0]
    assert full.round(points)[:5].tolist() == [8, 16, 2, 1, 128]
    recorded = MultiResolutionSpace('recorded')
    points[4] = 71.0
    assert recorded.round(points)[4] == 64
    points[4] = 72.0
    assert recorded.round(points)[4] == 80


def test_bounds_and_frozen_positions():
    space = MultiResolutionSpace('full', bounds={'stem': (8, 32)}, freeze=['stage4', 26])
    start = np.array(RECORD_508)
    assert space.round(np.full(27, 128.0), start)[17:].tolist() == RECORD_508[17:]
    assert (space.round(np.full(27, 128.0), start)[:2] == 32).all()
    assert (space.neighbours(start)[:, 17:] == start[17:]).all()
    assert torch.equal(space.clip(torch.full((1, 27), 500.0))[0, :2], torch.tensor([32.0, 32.0]))
    with pytest.raises(ValueError, match='leaves no grid value'):
        MultiResolutionSpace('coarse', bounds={'last': (8, 15)})
    with pytest.raises(ValueError, match='stage9'):
        resolve_positions(['stage9'], POSITIONS)


def test_the_best_move_is_the_best_of_all_single_steps():
    space = MultiResolutionSpace('recorded', freeze=['stage3'])
    generator = np.random.default_rng(2)
    codes = space.random(6, generator)
    gradient = generator.normal(size=codes.shape)
    moved = space.best_move(codes, gradient)
    for code, slope, after in zip(codes, gradient, moved):
        gains = [(slope * (near - code)).sum() for near in space.neighbours(code)]
        assert (slope * (after - code)).sum() == pytest.approx(max(gains))


def test_points_are_drawn_inside_the_budget():
    space = MultiResolutionSpace('recorded', freeze=['stem'])
    small = MultiResolutionSpace('fine').random(10, np.random.default_rng(3))
    start = np.concatenate([space.random(10, np.random.default_rng(2)), small])
    points = start + 0.3
    budget = Budget(madds=1.0, params=4.0)
    inside = space.round(space.within(points, start, budget), start)
    assert budget.holds(*space.costs(inside)).all()
    kept = budget.holds(*space.costs(space.round(points, start)))
    assert kept.any() and not kept.all()
    assert np.array_equal(inside[kept], space.round(points, start)[kept])
    assert (inside[:, :2] == start[:, :2]).all()
    # not merely the smallest code: most of the budget is used
    madds, params = space.costs(inside[~kept])
    assert (np.maximum(madds / 1.0, params / 4.0) > 0.8).mean() > 0.8
    with pytest.raises(ValueError, match='budget of 0.001 GMAdds'):
        space.within(points, start, Budget(madds=0.001))


def test_every_record_survives_all_forms(data_root):
    from bmtas.ncp.pickles import read_pickle

    records = read_pickle(data_root / 'nas_bench_mr' / 'seg.pkl')
    for record in records:
        code = NetworkCode(tuple(record['embedding']))
        assert NetworkCode.from_text(code.text) == code == NetworkCode.from_setting(record)
        setting = code.setting()
        assert all(record[key] == setting[key] for key in setting)
    assert len({NetworkCode(tuple(r['embedding'])).text for r in records}) == len(records) == 2507
