"""Damaged files: strategies for hypothesis that change the bytes or the content of a good one."""

import json

from hypothesis import strategies as st

WEIRD = [None, True, -1, 0, 1.5, -0.0, 1e308, 10**30, 2**63, '', 'x', 'NaN', '../x', [], {}]
WEIRD += [[[]], [None], {'a': 1}, ['x'], [[0, -1]], 'dict(a=1)', '\u0000', 'ä' * 300]


def places(content, path=()):
    """Paths of all values in JSON content."""
    yield path
    if isinstance(content, dict):
        for key, value in content.items():
            yield from places(value, (*path, key))
    if isinstance(content, list):
        for index, value in enumerate(content):
            yield from places(value, (*path, index))


def changed(content, path, action):
    """The content with the value at a path replaced, deleted or repeated."""
    if not path:
        return action if action != 'delete' else None
    content = json.loads(json.dumps(content))
    node = content
    for key in path[:-1]:
        node = node[key]
    if action == 'delete':
        del node[path[-1]]
    else:
        node[path[-1]] = action
    return content


@st.composite
def mutated_json(draw, text):
    """A JSON text with one value changed or gone."""
    content = json.loads(text)
    path = draw(st.sampled_from(list(places(content))))
    action = draw(st.sampled_from(['delete', *WEIRD]))
    return json.dumps(changed(content, path, action)).encode()


@st.composite
def mutated_bytes(draw, good):
    """Bytes that are cut, flipped, overwritten, or have something put in."""
    place = draw(st.integers(0, max(len(good) - 1, 0)))
    how = draw(st.sampled_from(['cut', 'flip', 'insert', 'zeros', 'head']))
    if how == 'cut':
        return good[:place]
    if how == 'head':
        return good[place:]
    if how == 'insert':
        return good[:place] + draw(st.binary(min_size=1, max_size=9)) + good[place:]
    bad = bytearray(good)
    if how == 'flip':
        bad[place] ^= 1 << draw(st.integers(0, 7))
    else:
        bad[place : place + 16] = bytes(len(bad[place : place + 16]))
    return bytes(bad)


def mutated(good):
    """Either kind, for a JSON file; bytes alone for others."""
    try:
        json.loads(good)
    except ValueError:
        return mutated_bytes(good)
    return st.one_of(mutated_json(good), mutated_json(good), mutated_bytes(good))
