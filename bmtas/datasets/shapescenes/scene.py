"""Composition of a scene: camera, room, lights and the things in it, from one generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from . import figures, objects
from .geometry import Camera, Room
from .materials import Material, MaterialTable
from .motion import Motion
from .objects import Builder, hsv
from .raycast import World

CLASSES = (
    'wall',
    'floor',
    'person',
    'animal',
    'ball',
    'box',
    'cone',
    'drum',
    'table',
    'plant',
)
"""Semantic classes; the ceiling belongs to ``wall``."""

PARTS = ('background', 'head', 'torso', 'upper arm', 'lower arm', 'upper leg', 'lower leg')

_BUILDERS: Mapping[str, Callable] = dict(
    person=figures.person,
    animal=figures.animal,
    ball=objects.ball,
    box=objects.crate,
    cone=objects.cone,
    drum=objects.drum,
    table=objects.table,
    plant=objects.plant,
)
# radius of the floor disc that a thing of the category keeps free of others
_CLEARANCE = dict(
    person=0.4, animal=0.5, ball=0.4, box=0.55, cone=0.38, drum=0.36, table=0.8, plant=0.5
)
FRONT = (2.3, 3.7)
BACK = (4.7, 7.0)
"""Distances from the camera, in metres, at which salient and other things stand."""


@dataclass(frozen=True)
class Lights:
    """A lamp that casts shadows, a fill light without shadow, and ambient light from two sides."""

    lamp: np.ndarray
    lamp_colour: np.ndarray
    lamp_radius: float
    fill: np.ndarray
    fill_colour: np.ndarray
    above: np.ndarray
    below: np.ndarray


@dataclass(frozen=True)
class Scene:
    """What is to be rendered. Per surface (solids, then floor, wall, ceiling): ``category`` index
    into CLASSES, ``instance`` number, ``salient``, ``part`` and ``material`` row."""

    world: World
    camera: Camera
    lights: Lights
    materials: MaterialTable
    category: np.ndarray
    instance: np.ndarray
    salient: np.ndarray
    part: np.ndarray
    material: np.ndarray


def _camera(rng: np.random.Generator) -> Camera:
    height = rng.uniform(0.9, 2.0)
    # look at a point of the stage between knee and shoulder
    target = rng.uniform(0.5, 0.9)
    pitch = np.arctan2(height - target, rng.uniform(2.8, 3.8)) + rng.normal(0, 0.03)
    roll = rng.normal(0, 0.025)
    c, s = np.cos(pitch), np.sin(pitch)
    level = np.array([[1, 0, 0], [0, -s, c], [0, -c, -s]])
    cr, sr = np.cos(roll), np.sin(roll)
    turn = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return Camera(np.array([0, 0, height]), level @ turn, rng.uniform(0.85, 1.35))


def _room(rng: np.random.Generator) -> Room:
    yaw = rng.uniform(-0.75, 0.75)
    left, right = rng.uniform(3.0, 5.5, 2)
    back, behind, height = rng.uniform(6.0, 8.5), 3.0, rng.uniform(2.6, 3.6)
    c, s = np.cos(yaw), np.sin(yaw)
    x, y = (right - left) / 2, (back - behind) / 2
    centre = np.array([c * x - s * y, s * x + c * y, height / 2])
    return Room(centre, np.array([(right + left) / 2, (back + behind) / 2, height / 2]), yaw)


def _lights(rng: np.random.Generator, room: Room) -> Lights:
    side = rng.choice([-1.0, 1.0])
    lamp = np.array([side * rng.uniform(0.5, 2.4), rng.uniform(-0.5, 2.6), 2 * room.half[2] - 0.2])
    warmth = rng.uniform(-1, 1)
    tint = np.array([1 + 0.12 * warmth, 1.0, 1 - 0.18 * warmth])
    strength = rng.uniform(0.75, 1.15)
    fill = np.array([-side * rng.uniform(0.3, 1.0), -1.0, rng.uniform(0.2, 0.8)])
    ambient = rng.uniform(0.2, 0.36)
    radius = rng.uniform(0.1, 0.35)
    arrays = dict(
        lamp=lamp,
        lamp_colour=strength * tint,
        fill=fill / np.sqrt((fill**2).sum()),
        fill_colour=rng.uniform(0.12, 0.28) * tint[::-1],
        above=ambient * 1.2 * tint[::-1],
        below=ambient * 0.75 * tint,
    )
    single = {name: array.astype(np.float32) for name, array in arrays.items()}
    return Lights(lamp_radius=radius, **single)


def _surroundings(rng: np.random.Generator) -> list[Material]:
    """Materials of floor, wall and ceiling."""
    hue = rng.random()
    wall = hsv(hue, rng.uniform(0.08, 0.4), rng.uniform(0.65, 0.95))
    kind = ('plain', 'plain', 'bricks', 'bands_wide', 'tiles')[rng.integers(5)]
    if kind == 'bricks':
        wall = hsv(rng.choice([0.02, 0.05, hue]), rng.uniform(0.25, 0.55), rng.uniform(0.55, 0.85))
        wall_material = Material(wall, wall * 0.6 + 0.3, 'bricks', 0.5)
    elif kind == 'bands_wide':
        # wallpaper: the first coordinate runs along the wall
        wall_material = Material(wall, wall * 0.92, 'marble', 0.9)
    else:
        wall_material = Material(wall, wall * 0.85, kind, rng.uniform(0.5, 0.9))
    texture = ('planks', 'planks', 'tiles', 'checker', 'marble', 'plain')[rng.integers(6)]
    if texture == 'planks':
        tone = hsv(rng.uniform(0.05, 0.11), rng.uniform(0.35, 0.65), rng.uniform(0.5, 0.85))
        floor = Material(tone, tone * 0.68, texture, rng.uniform(0.16, 0.3), 0.25)
    else:
        tone = hsv(rng.random(), rng.uniform(0.05, 0.35), rng.uniform(0.5, 0.85))
        second = np.clip(tone * rng.uniform(0.6, 0.85), 0, 1)
        floor = Material(tone, second, texture, rng.uniform(0.5, 0.9), 0.3)
    ceiling = Material(0.6 * np.ones(3) + 0.35 * wall, np.zeros(3), 'plain', 1.0, 0.0)
    return [floor, wall_material, ceiling]


class _Stage:
    """Finds free places on the floor and collects what is put there."""

    def __init__(self, rng: np.random.Generator, camera: Camera, room: Room) -> None:
        self.rng, self.camera, self.room = rng, camera, room
        self.taken: list[tuple[float, float, float]] = []
        self.materials = _surroundings(rng)
        self.solids, self.category, self.salient, self.instance = [], [], [], []
        self.count = 0

    def place(self, category: str, zone: tuple[float, float]) -> tuple | None:
        """A free point in the zone, or None after some tries."""
        radius = _CLEARANCE[category]
        for _ in range(12):
            y = self.rng.uniform(*zone)
            x = self.rng.uniform(-0.42, 0.42) * y / self.camera.focal
            if self.room.clearance(x, y) < radius + 0.1:
                continue
            if all((x - a) ** 2 + (y - b) ** 2 > (radius + r) ** 2 for a, b, r in self.taken):
                self.taken.append((x, y, radius))
                return x, y, 0.0
        return None

    def put(self, category: str, origin: tuple, salient: bool, **options) -> float:
        """Build a thing; returns the height of its upper side, 0 if nothing can stand on it."""
        yaw = self.rng.uniform(-np.pi, np.pi)
        if category == 'person':
            # more often seen from the front
            yaw = np.pi + self.rng.normal(0, 0.9)
        build = Builder(origin, yaw, self.materials)
        top = _BUILDERS[category](build, self.rng, **options)
        self.solids += build.solids
        self.category += [CLASSES.index(category)] * len(build.solids)
        self.salient += [salient] * len(build.solids)
        self.instance += [self.count] * len(build.solids)
        self.count += 1
        return top

    def add(self, category: str, salient: bool) -> None:
        """Put a thing into its zone, sometimes with another on top; nothing if there is no room."""
        origin = self.place(category, FRONT if salient else BACK)
        if origin is None:
            return
        if category == 'person' and self.rng.random() < 0.2:
            self.put('drum', origin, salient, height=0.33)
            self.put('person', origin, salient, seat=0.33)
            return
        top = self.put(category, origin, salient)
        if top and self.rng.random() < 0.35:
            above = ('ball', 'box')[self.rng.integers(2)]
            self.put(above, (*origin[:2], top), salient)


def compose(
    rng: np.random.Generator,
    figure_probability: float,
    motion: Motion | None = None,
    frame: int = 0,
) -> Scene:
    """Draw a scene: one to three salient things in front, up to four others behind them.

    With ``figure_probability`` the first salient thing is a person; other persons may stand behind.
    With a ``motion`` it is the scene of a later frame.
    """
    camera, room = _camera(rng), _room(rng)
    stage = _Stage(rng, camera, room)
    others = [name for name in _BUILDERS if name != 'person']
    with_figures = rng.random() < figure_probability
    first = 'person' if with_figures else others[rng.integers(len(others))]
    stage.add(first, True)
    pool = [*others, 'person'] if with_figures else others
    for _ in range(rng.integers(0, 3)):
        stage.add(pool[rng.integers(len(pool))], True)
    for _ in range(rng.integers(1, 5)):
        stage.add(pool[rng.integers(len(pool))], False)
    lights = _lights(rng, room)
    if motion is not None:
        camera, stage.solids = motion.move(frame, camera, stage.solids, stage.instance)
    wall, floor = CLASSES.index('wall'), CLASSES.index('floor')
    count = stage.count
    return Scene(
        World(stage.solids, room, stage.instance),
        camera,
        lights,
        MaterialTable(stage.materials),
        category=np.array([*stage.category, floor, wall, wall]),
        instance=np.array([*stage.instance, count, count + 1, count + 1]),
        salient=np.array([*stage.salient, False, False, False]),
        part=np.array([*(s.part for s in stage.solids), 0, 0, 0]),
        material=np.array([*(s.material for s in stage.solids), 0, 1, 2]),
    )
