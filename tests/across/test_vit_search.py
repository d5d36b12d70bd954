"""A search on a vision transformer, and the training of its tree."""

import json

import pytest

from bmtas.cli.base import run_tool

DATA = [
    f'{part}_dataloader.{key}'
    for part in ('train', 'val', 'test')
    for key in ('dataset.length=8', 'dataset.size=32', 'num_workers=0', 'persistent_workers=False')
]
SMALL = [
    'input_size=(32,32)',
    'tasks.depth=None',
    'tasks.edge=None',
    'tasks.sal=None',
    'model.encoder.backbone.dim=16',
    'model.encoder.backbone.depth=2',
    'model.encoder.backbone.heads=2',
    'model.head.embed_dim=64',
    'train_dataloader.batch_size=4',
]


@pytest.mark.slow
def test_search_and_training_of_its_tree(tmp_path):
    from bmtas.cli.search import main as search
    from bmtas.cli.train import main as train

    options = ['search.warmup_updates=2', 'search.weight_updates=4']
    options += ['search.alpha_phase=2', 'search.weight_phase=2']
    words = ['bmtas/vit_shapescenes', '--work-dir', str(tmp_path / 's')]
    assert run_tool(search, [*words, '--cfg-options', *DATA, *SMALL, *options]) == 0
    tree = tmp_path / 's' / 'branching.json'
    found = json.loads(tree.read_text())
    assert found['tasks'] == ['semseg', 'human_parts', 'normals'] and len(found['config']) == 3
    words = [
        'branched/vit_shapescenes',
        '--work-dir',
        str(tmp_path / 'b'),
        '--branching',
        str(tree),
    ]
    short = ['train_cfg.max_iters=2', 'train_cfg.val_interval=2']
    assert run_tool(train, [*words, '--cfg-options', *DATA, *SMALL, *short]) == 0
    assert (tmp_path / 'b' / 'iter_2.pth').is_file()
