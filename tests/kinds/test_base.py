"""Building a kind from a config."""

import pytest

from bmtas.kinds import build_kind


@pytest.mark.parametrize(
    ('cfg', 'message'),
    [
        (1, '1 is no kind'),
        (None, 'None is no kind'),
        ('dept', "unknown kind 'dept'; did you mean 'depth'"),
        (dict(num_classes=3), 'unknown kind None'),
        ('classes', "kind 'classes' needs num_classes"),
    ],
)
def test_mistakes_are_one_line_that_starts_with_the_place(cfg, message):
    with pytest.raises(ValueError, match=message) as caught:
        build_kind(cfg, 'tasks.depth.kind')
    assert str(caught.value).startswith('tasks.depth.kind: ')
    assert '\n' not in str(caught.value)
