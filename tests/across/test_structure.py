"""Rooms import each other by their faces, and only those below."""

import ast
from pathlib import Path

import pytest

import bmtas

PACKAGE = Path(bmtas.__file__).parent
FILES = sorted(PACKAGE.rglob('*.py'))
FACES = {
    '.'.join(('bmtas', *p.parent.relative_to(PACKAGE).parts)) for p in FILES if p.stem == '__init__'
}
ROOMS = {face for face in FACES if face.count('.') == 1}
# from the top down; a room may import those behind it
ORDER = (
    *('cli', 'apis', 'ncp', 'task_routing', 'sharing', 'search', 'engine', 'visualization'),
    *('evaluation', 'models', 'datasets', 'resources', 'tasks', 'kinds', 'branching'),
)
PLUG_INS = ('ncp', 'task_routing', 'sharing')


def imports(path):
    """Room of a file, and the modules of bmtas that it imports by full name, with their lines."""
    room = path.relative_to(PACKAGE).parts[0].removesuffix('.py')
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and not node.level:
            found.append((node.module, node.lineno))
        elif isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
    return room, [(name, line) for name, line in found if name.startswith('bmtas.')]


def past_a_face(path):
    """Imports of a module inside another room, which is no package with a face of its own."""
    room, found = imports(path)
    return [
        f'{path.relative_to(PACKAGE)}:{line} {name}'
        for name, line in found
        if name not in FACES and name.split('.')[1] != room and name.count('.') > 1
    ]


def test_rooms_are_imported_by_their_faces():
    assert [fault for path in FILES for fault in past_a_face(path)] == []


def test_arrows_point_down():
    faults = []
    for path in FILES:
        room, found = imports(path)
        command = path.stem.endswith('cli')  # of a plug-in
        for name, line in found if room in ORDER and not command else ():
            other = name.split('.')[1]
            plug_in = other in PLUG_INS and other != room
            if other in ORDER and (plug_in or ORDER.index(other) < ORDER.index(room)):
                faults.append(f'{path.relative_to(PACKAGE)}:{line} {name}')
    assert faults == []


def test_a_face_keeps_what_it_names():
    for room in sorted(ROOMS):
        module = pytest.importorskip(room)
        missing = [name for name in module.__all__ if not hasattr(module, name)]
        assert missing == [], room


def test_the_counter_sees_an_import_past_a_face(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), 'PACKAGE', tmp_path)
    path = tmp_path / 'search' / 'x.py'
    path.parent.mkdir()
    path.write_text(
        'import bmtas.engine\n'
        'from bmtas.engine.loops import UpdateLoop\n'
        'from bmtas.search.front import Front\n'
        'def f():\n    from bmtas.engine.config import load_config\n'
    )
    assert past_a_face(path) == ['search/x.py:5 bmtas.engine.config']


# tests that cover several modules, where a file for each would repeat what is set up for all
TOGETHER = {
    'across/test_distributed.py': 'engine/dist',
    'across/test_hard_routing.py': 'search/gradient/loop',
    'across/test_mixed_tasks.py': 'kinds/image models/heads/pooled_linear models/losses/category',
    'across/test_new_kind.py': 'kinds/maps',
    'across/test_parameter_counts.py': 'models/heads/deeplabv3plus',
    'across/test_reliability.py': (
        'engine/finite engine/fit engine/identity engine/work_dir engine/runner'
    ),
    'across/test_resume.py': 'engine/loops/base engine/loops/train_loop',
    'across/test_run_tools.py': 'cli/search cli/train cli/test engine/test engine/train progress',
    'apis/test_bench.py': 'cli/bench',
    'apis/test_comparison.py': 'apis/entries cli/compare visualization/comparison',
    'apis/test_deploy.py': 'apis/eight_bits cli/export',
    'apis/test_importing.py': 'cli/convert',
    'apis/test_inference.py': 'apis/sources cli/infer visualization/overlays engine/load',
    'apis/test_program.py': 'apis/folders apis/runs apis/setup',
    'apis/test_reports.py': 'cli/report',
    'apis/test_sweep.py': 'apis/grid cli/sweep',
    'branching/test_enumeration.py': 'branching/at_cost branching/partitions',
    'branching/test_beam.py': 'branching/clustering',
    'branching/test_tree.py': 'branching/tree_io',
    'cli/test_cli.py': 'cli/configs cli/env engine/record engine/shipped plug_ins registry',
    'datasets/shapescenes/test_dataset.py': 'datasets/shapescenes/figures datasets/base',
    'datasets/shapescenes/test_attributes.py': (
        'datasets/shapescenes/scene datasets/shapescenes/materials'
    ),
    'datasets/test_archives.py': 'datasets/sources',
    'datasets/test_folder.py': 'datasets/label_file',
    'datasets/test_pascal_context.py': 'datasets/pascal_readers',
    'engine/test_config.py': (
        'engine/build engine/building engine/config_check engine/config_file engine/config_keys'
    ),
    'engine/test_balancing.py': 'engine/balancing_methods',
    'engine/test_jobs.py': 'engine/clusters engine/executors',
    'evaluation/boundaries/test_files.py': (
        'evaluation/boundaries/benchmark evaluation/boundaries/pool'
    ),
    'evaluation/boundaries/test_matching.py': 'jit',
    'evaluation/test_digest.py': 'engine/log_processor engine/results',
    'faults/test_damaged_labels.py': 'kinds/values',
    'kinds/test_category.py': 'evaluation/category',
    'models/backbones/test_conv4.py': 'models/heads/pixel_shuffle',
    'models/backbones/test_layered.py': 'models/backbones/architectures models/backbones/dilation',
    'models/backbones/test_recipes.py': 'models/blocks',
    'models/backbones/test_vit.py': 'models/backbones/vit_weights models/heads/convnext',
    'ncp/test_codes.py': 'ncp/grid',
    'ncp/test_data.py': 'ncp/pickles',
    'ncp/test_network.py': 'ncp/cost',
    'ncp/test_predictor.py': 'ncp/dataset ncp/hooks ncp/metric',
    'ncp/test_propagation.py': (
        'ncp/baselines ncp/code_search ncp/judge ncp/objective ncp/picture ncp/report ncp/spaces '
        'ncp/strategies'
    ),
    'ncp/test_public.py': 'ncp/cli',
    'resources/test_counting.py': 'resources/fvcore_counter resources/latency resources/parts',
    'resources/test_build.py': 'resources/network',
    'resources/test_report.py': 'cli/resources',
    'search/gradient/test_updates.py': (
        'engine/updates search/gradient/resource_loss search/gradient/strategy'
    ),
    'engine/optim/test_constructors.py': 'search/gradient/optim',
    'search/test_bmn.py': 'search/bmn_search search/affinity_file search/images',
    'search/test_fafs.py': 'search/fafs_search search/difficulty',
    'search/test_run.py': 'search/context search/front',
    'search/test_trained.py': (
        'search/best_of_random search/row search/row_start search/rounds search/rows '
        'search/surrogate_search'
    ),
    'sharing/test_accounting.py': (
        'sharing/calibrate sharing/calibrate_cli sharing/delta_file sharing/meter '
        'sharing/model sharing/thresholds'
    ),
    'sharing/test_clips.py': 'sharing/video datasets/nyud_video datasets/shapescenes/motion',
    'sharing/test_encoder.py': (
        'sharing/merge sharing/ops sharing/passes sharing/penalty sharing/places'
    ),
    'sharing/test_gates.py': 'sharing/deltas sharing/support',
    'sharing/test_stages.py': ('sharing/arguments sharing/share sharing/share_cli'),
    'task_routing/test_masks.py': 'task_routing/mask_table',
    'task_routing/test_plan.py': 'task_routing/channels task_routing/units',
    'task_routing/test_routed.py': (
        'task_routing/compact task_routing/cost task_routing/masking task_routing/norms '
        'task_routing/slicing'
    ),
    'task_routing/test_runs.py': (
        'task_routing/extract task_routing/extract_cli task_routing/hooks '
        'task_routing/picture task_routing/sampling_loop'
    ),
    'visualization/test_visualization.py': 'kinds/colours',
}
TESTS = Path(__file__).parents[1]
# tests of no one module: several rooms at once, configs, scripts, faults, what the docs say
APART = ('across', 'benchmarks', 'configs', 'docs', 'faults')
ALSO = {  # further files of a module or room
    'apis/test_program.py',
    'engine/test_balancing_distributed.py',
    'evaluation/boundaries/test_berkeley.py',
    'search/test_trained.py',
    'task_routing/test_bad_data.py',
    'task_routing/test_runs.py',
}


def own_tests(module):
    """Where the tests of a module may stand: a file of its name, or one for its whole package."""
    yield TESTS / module.parent / f'test_{module.name}.py'
    for package in module.parents[:-1]:
        yield TESTS / package / f'test_{package.name}.py'
        yield TESTS / package.parent / f'test_{package.name}.py'


def test_every_module_has_its_tests():
    together = {name: file for file, names in TOGETHER.items() for name in names.split()}
    faults = [file for file in TOGETHER if not (TESTS / file).is_file()]
    for path in FILES:
        module = path.relative_to(PACKAGE).with_suffix('')
        if path.name.startswith('_'):  # private ones are tested through those that use them
            continue
        own, *common = own_tests(module)
        listed = str(module) in together
        if own.is_file() if listed else not any(map(Path.is_file, [own, *common])):
            faults.append(f'{module}: {"has a file of its own" if listed else "has no tests"}')
    assert faults == []


def test_every_test_has_its_module():
    faults = []
    for path in sorted(TESTS.rglob('test_*.py')):
        file = path.relative_to(TESTS)
        name = path.stem.removeprefix('test_')
        room = PACKAGE / file.parent
        there = [room / f'{name}.py', room / f'_{name}.py', room / name / '__init__.py']
        known = any(map(Path.is_file, there)) or room.name == name
        if not known and file.parts[0] not in APART and str(file) not in ALSO:
            faults.append(str(file))
    assert faults == []
