"""Pictures of a run, drawn from the files in its work dir."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch

from bmtas.branching import BranchingTree
from bmtas.engine.history import FILE as HISTORY
from bmtas.engine.history import read_history
from bmtas.engine.hooks.save_branching_hook import ALPHA, BRANCHING
from bmtas.engine.launch import TABLE
from bmtas.engine.updates import SCALES
from bmtas.resources import ResourceTable
from bmtas.visualization import draw_alpha, draw_curves, draw_tree

FOLDER = 'vis'


def search_pictures(work_dir: str | Path, out_dir: str | Path | None = None) -> dict[str, Path]:
    """Draw what a search left in its work dir: the tree, alpha, and the course of the search.

    Args:
        work_dir: Folder of a search. What is missing is not drawn.
        out_dir: Where to put the pictures; ``vis`` in the work dir by default.

    Returns:
        Picture name (``tree``, ``alpha``, ``curves``) -> path.
    """
    work_dir = Path(work_dir)
    out_dir = Path(out_dir) if out_dir is not None else work_dir / FOLDER
    table_file = work_dir / TABLE
    table = ResourceTable.from_file(table_file) if table_file.is_file() else None
    pictures = {}
    if (work_dir / BRANCHING).is_file():
        tree = BranchingTree.from_file(work_dir / BRANCHING)
        fits = table is not None and table.num_layers == tree.num_layers
        pictures['tree'] = draw_tree(tree, out_dir / 'tree.png', table if fits else None)
    if (work_dir / ALPHA).is_file():
        content = json.loads((work_dir / ALPHA).read_text())
        probs = torch.softmax(torch.tensor(content['alpha'], dtype=torch.float64), -1)
        pictures['alpha'] = draw_alpha(
            probs.numpy(), content['tasks'], content['layers'], out_dir / 'alpha.png'
        )
    rows = read_history(work_dir / HISTORY) if (work_dir / HISTORY).is_file() else []
    if rows:
        pictures['curves'] = _curves(rows, table, out_dir / 'curves.png')
    return pictures


def _curves(rows: Sequence[dict], table: ResourceTable | None, path: Path) -> Path:
    keys = ('update', 'cost_exact', 'cost_paper', 'cost_tree', 'tau', 'losses')
    history = {key: [row.get(key) for row in rows] for key in keys if key in rows[-1]}
    for entry in history.get('losses', ()):
        # the sum of the others, and what stands in the upper panel already
        for name in ('loss', 'loss_resource'):
            entry.pop(name, None)
    if table is None:
        return draw_curves(history, path)
    scale, unit = SCALES[table.unit]
    return draw_curves(
        history, path, f'{unit}s', shared=table.shared / scale, separate=table.separate / scale
    )
