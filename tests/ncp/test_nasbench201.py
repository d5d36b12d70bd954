"""nas-bench-201 cells: forms, projection, costs."""

import itertools

import numpy as np
import pytest
import torch

from bmtas.ncp.codes import CodeError
from bmtas.ncp.nasbench201 import (
    OPERATIONS,
    CellSpace,
    cell_from_operations,
    cell_from_text,
    cell_text,
    operations,
)
from bmtas.ncp.spaces import Budget


def test_forms_of_a_cell():
    text = '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|'
    code = cell_from_text(text)
    assert operations(code).tolist() == [4, 1, 2, 0, 3, 1]
    assert cell_text(code) == text
    assert np.array_equal(cell_from_operations([OPERATIONS[i] for i in operations(code)]), code)
    assert CellSpace().describe(code)['operations'][0] == 'nor_conv_3x3'
    for wrong in ('|none~0|', text.replace('none~2', 'none~1'), text.replace('none', 'zero')):
        with pytest.raises(CodeError):
            cell_from_text(wrong)
    with pytest.raises(CodeError, match='one operation on every edge'):
        CellSpace().parse([1] * 2 + [0] * 28)


def test_projection_takes_the_largest_allowed_entry_of_each_edge():
    space = CellSpace(exclude=['none'], freeze=['edge5'])
    points = np.random.default_rng(0).random((40, 30))
    start = np.tile(cell_from_operations([1] * 6), (40, 1))
    codes = space.round(points, start)
    assert space.contains(codes).all()
    for point, code in zip(points.reshape(40, 6, 5), operations(codes)):
        for edge in range(5):
            values = [-1 if OPERATIONS[k] == 'none' else point[edge, k] for k in range(5)]
            assert code[edge] == int(np.argmax(values))
        assert code[5] == 1
    assert (space.neighbours(codes[0])[:, 25:] == codes[0, 25:]).all()
    assert len(space.neighbours(codes[0])) == 5 * 3
    assert len(CellSpace().neighbours(codes[0])) == 6 * 4
    with pytest.raises(ValueError, match="exclude: 'conv'"):
        CellSpace(exclude=['conv'])


def test_best_move_is_the_best_neighbour():
    space, generator = CellSpace(), np.random.default_rng(1)
    codes, slope = space.random(8, generator), generator.normal(size=(8, 30))
    for code, gradient, moved in zip(codes, slope, space.best_move(codes, slope)):
        gains = (space.neighbours(code) - code) @ gradient
        assert (moved - code) @ gradient == pytest.approx(max(gains.max(), 0))


def test_budget_gives_up_convolutions_only_where_needed():
    space, generator = CellSpace(), np.random.default_rng(2)
    points = generator.random((60, 30))
    start = space.round(points)
    budget = Budget(madds=0.08)
    before = budget.holds(*space.costs(start))
    inside = space.round(space.within(points, start, budget))
    assert budget.holds(*space.costs(inside)).all() and before.any() and not before.all()
    assert np.array_equal(inside[before], start[before])
    with pytest.raises(ValueError, match='smallest cell'):
        space.within(points, start, Budget(madds=0.001))


def test_costs_are_differentiable_and_additive():
    space = CellSpace()
    code = cell_from_operations([4, 3, 0, 1, 2, 4])
    madds, params = space.costs(code)
    assert madds * 1e3 == pytest.approx(7.7888 + 2 * 35.38944 + 3.93216)
    points = torch.tensor(code, dtype=torch.float64, requires_grad=True)
    space.costs(points)[0].backward()
    assert points.grad.reshape(6, 5)[:, 4].tolist() == pytest.approx([0.03538944] * 6)


def test_recorded_costs_of_cells(data_root):
    from bmtas.ncp.data import load_records

    table = load_records(data_root / 'nas_bench_mr', 'nas-bench-201')
    assert {tuple(c) for c in operations(table.codes)} == set(itertools.product(range(5), repeat=6))
    madds, params = CellSpace().costs(table.codes)
    wrong = np.abs(madds * 1e3 - table['Flops']) > 0.0051
    assert np.array_equal(wrong, np.abs(params - table['Params']) > 0.00051)
    # 150 records are off by one convolution: the operations or the costs are wrong in the file
    assert wrong.sum() == 150
