"""Speed of network codes: the closed formula against counting a built network, and propagation.

    python benchmarks/ncp_speed.py

Processor time, best of three, of one thread; no records and no trained predictor are needed, since
weights do not change the time. Propagation asks an ensemble of the shipped size (eight members of
128 and 64 units, costs as features) and keeps two hard budgets. Goals: a code's cost in at most
1 ms, 70 steps in at most 1 s, 70 steps from 32 starts in at most 5 s. Training a predictor may
take 60 s: ``time bmtas train configs/ncp/predictor_seg.py --data-root DIR``.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from bmtas.ncp.cost import CostModel
from bmtas.ncp.network import build_network
from bmtas.ncp.objective import Goal, Objective
from bmtas.ncp.predictor import CodePredictor
from bmtas.ncp.propagation import Steps, propagate
from bmtas.ncp.spaces import Budget, MultiResolutionSpace
from bmtas.resources.report import markdown

SIZE, HEAD, CLASSES = (128, 128), 'segmentation', 19


def seconds(run: Callable[[], object], repeats: int = 1) -> float:
    """Processor seconds of one call, the best of three."""
    run()
    spent = []
    for _ in range(3):
        began = time.process_time()
        for _ in range(repeats):
            run()
        spent.append((time.process_time() - began) / repeats)
    return min(spent)


def count_by_building(code: np.ndarray) -> int:
    """Multiply-adds of a code by building its network and running it without data."""
    with torch.device('meta'):
        network = build_network(code, HEAD, CLASSES).eval()
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            network(torch.empty(1, 3, *SIZE))
    return counter.get_total_flops() // 2


def cost_rows() -> list[list[str]]:
    """Counting: closed formula, alone and in a batch, against the built network."""
    codes = MultiResolutionSpace('full').random(2507, np.random.default_rng(0))
    model = CostModel(SIZE, HEAD, CLASSES, 'mac')
    counted = count_by_building(codes[0])
    if counted != int(model.madds(codes[0])):
        raise ValueError(f'the formula says {int(model.madds(codes[0]))}, the network {counted}')
    built = seconds(lambda: count_by_building(codes[0]))
    single = seconds(lambda: model.both(codes[0]), 50)
    batch = seconds(lambda: model.both(codes)) / len(codes)
    return [
        [name, f'{1e3 * spent:.4f}', f'{built / spent:,.0f}', goal]
        for name, spent, goal in (
            ('built and counted', built, ''),
            ('formula, one code', single, '1'),
            ('formula, 2507 codes', batch, '1'),
        )
    ]


def propagation_rows() -> list[list[str]]:
    """70 steps from one start and from 32 in one batch."""
    heads = [dict(names=['mIoU']), dict(names=['mAcc', 'aAcc']), dict(names=['flops', 'params'])]
    model = CodePredictor('seg', heads, 8, 'cost', hidden=128, head_width=64).eval()
    space = MultiResolutionSpace()
    model.fit_statistics(
        torch.tensor(space.random(200, np.random.default_rng(1))).float(), torch.rand(200, 5)
    )
    aim = Objective(
        space,
        {'seg': model.requires_grad_(False)},
        [Goal('seg')],
        pessimism=1.0,
        budget=Budget(madds=3.0, params=8.0),
    )
    spent = {}
    for starts in (1, 32):
        codes = space.random(starts, np.random.default_rng(0))
        spent[starts] = seconds(lambda codes=codes: propagate(aim, codes, Steps(number=70)))
    return [
        ['70 steps, 1 start', f'{spent[1]:.2f}', '1.0', '1'],
        ['70 steps, 32 starts', f'{spent[32]:.2f}', f'{spent[32] / spent[1]:.1f}', '5'],
    ]


if __name__ == '__main__':
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(markdown(['cost of a code', 'ms', 'times faster', 'goal'], cost_rows()), end='\n\n')
    print(markdown(['propagation', 's', 'to one start', 'goal'], propagation_rows()))
