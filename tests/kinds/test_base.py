"""Building a kind from a config."""

import numpy as np
import pytest

from bmtas.kinds import Depth, build_kind


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


def test_maps_of_many_channels_are_padded():
    # OpenCV has fill values for four channels
    array = np.ones((2, 3, 17), np.float32)
    padded = Depth().pad(array, (1, 0, 2, 0))
    assert padded.shape == (3, 5, 17) and padded[1:, 2:].all() and padded.sum() == array.sum()
