"""What a scene shows as a whole: attributes of the visible pixels, none of which knows left from
right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .materials import TEXTURES
from .render import View
from .scene import CLASSES, PARTS

VISIBLE = 0.003
"""Share of the picture from which on something counts as visible."""

THINGS = CLASSES[2:]
FLOORS = ('planks', 'tiles', 'checker', 'marble', 'plain')
WALLS = ('plain', 'bricks', 'marble', 'tiles')

CATEGORIES: Mapping[str, tuple[str, ...]] = dict(
    floor_texture=FLOORS, wall_texture=WALLS, largest_thing=THINGS
)
"""Attributes of more than two values: key -> names of the values."""

ATTRIBUTES = (
    *THINGS,
    # persons only stand behind if another one stands in front
    *(f'{thing}_in_front' for thing in THINGS[1:]),
    *(f'{thing}_behind' for thing in THINGS),
    *('two_persons', 'two_balls', 'two_boxes', 'five_things', 'head', 'lower_arm'),
    *(f'floor_{texture}' for texture in FLOORS[:-1]),
    *(f'wall_{texture}' for texture in WALLS[1:]),
    *('ceiling', 'more_wall_than_floor', 'cut_off', 'mostly_person'),
)
"""The 40 attributes that are true or false."""


@dataclass(frozen=True)
class Maps:
    """What the pixels show, each (H, W): class, number of the thing (-1 for none), body part,
    whether it stands in front, row of the material (floor, wall and ceiling come first)."""

    category: np.ndarray
    instance: np.ndarray
    part: np.ndarray
    salient: np.ndarray
    material: np.ndarray

    @classmethod
    def of(cls, view: View) -> Maps:
        """The maps of a view."""
        scene = view.scene
        category = view.per_pixel(scene.category)
        instance = np.where(category > 1, view.per_pixel(scene.instance), -1)
        rest = (view.per_pixel(table) for table in (scene.part, scene.salient, scene.material))
        return cls(category, instance, *rest)


def attributes(maps: Maps, textures: np.ndarray) -> dict[str, int]:
    """All attributes of a picture by name.

    Args:
        maps: The visible surfaces.
        textures: Index into ``TEXTURES`` of each material.

    Returns:
        0 or 1 for ``ATTRIBUTES``, an index for ``CATEGORIES``, -1 where nothing of it is visible.
    """
    least = VISIBLE * maps.category.size
    sizes = np.bincount(maps.instance[maps.instance >= 0], minlength=1)
    shown = np.flatnonzero(sizes >= least)
    first = [np.flatnonzero(maps.instance == number)[0] for number in shown]
    things = [(THINGS[maps.category.flat[at] - 2], bool(maps.salient.flat[at])) for at in first]
    names = [name for name, _ in things]
    largest = names[sizes[shown].argmax()] if names else ''
    rim = np.concatenate([maps.instance[[0, -1]].ravel(), maps.instance[:, [0, -1]].ravel()])
    areas = [(maps.material == row).sum() for row in range(3)]
    floor, wall = (TEXTURES[textures[row]] if areas[row] >= least else '' for row in (0, 1))

    def part(name: str) -> bool:
        return (maps.part == PARTS.index(name)).sum() >= least

    true = {
        *names,
        *(f'{name}_in_front' if front else f'{name}_behind' for name, front in things),
        *(f'floor_{floor}', f'wall_{wall}'),
    }
    found = {name: name in true for name in ATTRIBUTES} | dict(
        two_persons=names.count('person') >= 2,
        two_balls=names.count('ball') >= 2,
        two_boxes=names.count('box') >= 2,
        five_things=len(names) >= 5,
        head=part('head'),
        lower_arm=part('lower arm'),
        ceiling=areas[2] >= least,
        more_wall_than_floor=areas[1] > areas[0],
        cut_off=bool(np.isin(shown, rim).any()),
        mostly_person=largest == 'person',
    )
    shown_values = dict(floor_texture=floor, wall_texture=wall, largest_thing=largest)
    indices = {
        key: CATEGORIES[key].index(value) if value else -1 for key, value in shown_values.items()
    }
    return {name: int(value) for name, value in found.items()} | indices
