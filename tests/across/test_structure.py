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
