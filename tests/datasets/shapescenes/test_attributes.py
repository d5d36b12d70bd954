"""Attributes of rendered scenes: balance, independence of left and right, a scene seen by hand."""

from dataclasses import fields

import numpy as np
import pytest

from bmtas.datasets import ShapeScenes
from bmtas.datasets.shapescenes.attributes import ATTRIBUTES, CATEGORIES, Maps, attributes
from bmtas.datasets.shapescenes.materials import TEXTURES
from bmtas.datasets.shapescenes.render import View


@pytest.fixture(scope='module')
def scenes():
    data = ShapeScenes(size=32, length=500)
    views = [View(data.scene(index), (32, 32)) for index in range(500)]
    return [(Maps.of(view), view.scene.materials.texture) for view in views]


def test_each_attribute_holds_in_8_to_92_percent_of_scenes(scenes):
    assert len(ATTRIBUTES) == len(set(ATTRIBUTES)) == 40
    found = [attributes(*scene) for scene in scenes]
    for name in ATTRIBUTES:
        values = [row[name] for row in found]
        assert set(values) == {0, 1} and 0.08 <= np.mean(values) <= 0.92, name
    for name, values in CATEGORIES.items():
        seen = {row[name] for row in found}
        assert set(range(len(values))) <= seen <= set(range(-1, len(values)))


def test_none_changes_under_a_horizontal_flip(scenes):
    for maps, textures in scenes[:100]:
        flipped = Maps(*(getattr(maps, field.name)[:, ::-1] for field in fields(maps)))
        assert attributes(flipped, textures) == attributes(maps, textures)


def test_a_picture_made_by_hand():
    category, part, salient, material = (np.zeros((20, 20), int) for _ in range(4))
    instance = np.full((20, 20), -1)
    category[10:] = 1  # floor below, wall above
    material[:10] = 1
    places = {0: (2, slice(5, 15), slice(3, 8)), 1: (5, slice(11, 14), slice(17, 20))}
    for number, (kind, rows, columns) in places.items():
        category[rows, columns], instance[rows, columns] = kind, number
        material[rows, columns], salient[rows, columns] = 3, number == 0
    part[5:7, 4:6] = 1
    textures = np.array([TEXTURES.index(t) for t in ('checker', 'bricks', 'plain', 'plain')])
    found = attributes(Maps(category, instance, part, salient.astype(bool), material), textures)
    true = {name for name in ATTRIBUTES if found[name]}
    assert true == {
        *('person', 'box', 'box_behind', 'head', 'floor_checker', 'wall_bricks'),
        *('more_wall_than_floor', 'cut_off', 'mostly_person'),
    }
    assert {name: found[name] for name in CATEGORIES} == dict(
        floor_texture=2, wall_texture=1, largest_thing=0
    )
