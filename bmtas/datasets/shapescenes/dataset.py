"""The data set ShapeScenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np

from bmtas.kinds import Category, Classes, Depth, Kind, Mask, Normals
from bmtas.registry import DATASETS
from bmtas.typed import Fraction, Natural, NonNegative, Range, check_arguments, hints_of

from ..base import MultiTaskDataset, chosen_labels
from .attributes import ATTRIBUTES, CATEGORIES, Maps, attributes
from .motion import Motion
from .render import View, camera_normals, edges, picture
from .scene import CLASSES, PARTS, Scene, compose

LABELS: Mapping[str, Kind] = dict(
    semseg=Classes(len(CLASSES)),
    human_parts=Classes(len(PARTS)),
    sal=Mask(),
    normals=Normals(),
    depth=Depth(),
    edge=Mask(),
)
"""Label keys of the maps and their kinds."""

KNOWN: Mapping[str, Kind] = {
    **LABELS,
    **dict.fromkeys(ATTRIBUTES, Category(2)),
    **{name: Category(len(values)) for name, values in CATEGORIES.items()},
}
"""All label keys and their kinds."""

SPLITS = ('train', 'val', 'test')
Side = Annotated[int, Range(32, 1024)]
LENGTHS = dict(train=2000, val=200, test=400)


_KEPT: dict[str, dict[int, dict[str, Any]]] = {}
KEPT_DATASETS = 4
"""Data sets whose rendered scenes stay in memory for the next equal one, the oldest goes first."""


def _kept(key: str) -> dict[int, dict[str, Any]]:
    """The rendered scenes of a data set, by index."""
    scenes = _KEPT[key] = _KEPT.pop(key, {})
    while len(_KEPT) > KEPT_DATASETS:
        del _KEPT[next(iter(_KEPT))]
    return scenes


@DATASETS.register_module()
class ShapeScenes(MultiTaskDataset):
    """Rooms with things and jointed figures, rendered on the fly, every label exact.

    A scene is a pure function of (seed, split, index); the size only says how finely it is sampled:
    image sizes of one shape show the same view. Labels are those of the ray through a pixel's
    centre, so a map of size 64 is every third pixel of the map of size 192.

    - ``semseg``: ids into ``CLASSES``. - ``human_parts``: ids into ``PARTS``. - ``sal``: the things
    that stand in front, 2.3 to 3.7 m away, against those from 4.7 m on. - ``normals``: facing the
    camera, so z is negative. - ``depth``: metres along the optical axis. - ``edge``: borders of
    things, creases and depth steps, see ``render.edges``. - What the scene shows as a whole: 40
    attributes and three categories of the visible pixels, see ``attributes``.

    Args:
        labels: Which labels, keys of ``KNOWN``; those of the maps by default.
        split: ``train``, ``val`` or ``test``; their scenes are different.
        length: Number of scenes; 2000, 200, 400 by default.
        size: Pixels (H, W), or one number for both; meant for 64 to 512.
        seed: Seed of the scenes.
        figure_probability: Share of scenes with persons.
        parts_without_figure: ``human_parts`` of a scene without visible persons: ``ignore`` (all
            255, as in data where only images of persons are annotated) or ``background`` (all 0).
        antialias: Rays per pixel side on borders of surfaces, 1 switches it off. Labels are never
            smoothed.
        shadow_samples: Points of the lamp that are tested; 1 gives hard shadows.
        cache: Keep rendered scenes in memory, per process; equal data sets share them.
        clip: Frames of each scene, in which camera and the thing in front move; index i is frame
            i % clip of scene i // clip, frame 0 the scene as it is without clips.
        motion: Strength of the movement; 0 gives equal frames.
        neighbours: Offsets of frames of the same clip that come along as ``frames``, e.g. (-1, 1);
            beyond the ends the first or the last frame.
        options: See ``MultiTaskDataset``.
    """

    metainfo: Mapping[str, Any] = dict(classes=CLASSES, parts=PARTS)
    known_kinds = KNOWN

    def __init__(
        self,
        labels: Sequence[str] = tuple(LABELS),
        split: Literal['train', 'val', 'test'] = 'train',
        length: Annotated[int, Range(1, 10**9)] | None = None,
        size: Side | tuple[Side, Side] = 64,
        seed: Natural = 0,
        figure_probability: Fraction = 0.75,
        parts_without_figure: Literal['ignore', 'background'] = 'ignore',
        antialias: Annotated[int, Range(1, 8)] = 2,
        shadow_samples: Annotated[int, Range(1, 64)] = 1,
        cache: bool = False,
        clip: Annotated[int, Range(1, 10**4)] = 1,
        motion: NonNegative = 1.0,
        neighbours: Sequence[int] = (),
        **options: Any,
    ) -> None:
        given = dict(
            split=split,
            length=length,
            size=size,
            seed=seed,
            figure_probability=figure_probability,
            parts_without_figure=parts_without_figure,
            antialias=antialias,
            shadow_samples=shadow_samples,
            clip=clip,
            motion=motion,
        )
        check_arguments(given, hints_of(ShapeScenes), 'ShapeScenes')
        if neighbours and clip == 1:
            raise ValueError('ShapeScenes: neighbours need clips, set clip to 2 or more')
        super().__init__(chosen_labels(self, labels, KNOWN), **options)
        self.split, self.length, self.seed = split, length or LENGTHS[split], seed
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.figure_probability = figure_probability
        self.parts_without_figure = parts_without_figure
        self.antialias, self.shadow_samples = antialias, shadow_samples
        self.clip, self.motion, self.neighbours = clip, motion, tuple(neighbours)
        given.update(labels=tuple(self.labels), length=self.length, size=self.size)
        self._cache = _kept(f'{type(self)} {given}') if cache else None

    def __len__(self) -> int:
        return self.length * self.clip

    def scene(self, index: int) -> Scene:
        """The scene itself, before it is rendered.

        Raises:
            IndexError: No such image in this split.
        """
        if not 0 <= index < len(self):
            raise IndexError(f'ShapeScenes {self.split} has {len(self)} images, no {index}')
        number, frame = divmod(index, self.clip)
        key = (self.seed, SPLITS.index(self.split), number)
        motion = Motion.draw(np.random.default_rng((*key, 1)), self.motion)
        return compose(np.random.default_rng(key), self.figure_probability, motion, frame)

    def load(self, index: int) -> dict[str, Any]:
        sample = self._rendered(index)
        if self.clip > 1:
            number, frame = divmod(index, self.clip)
            near = [min(max(frame + step, 0), self.clip - 1) for step in self.neighbours]
            frames = [self._rendered(number * self.clip + other)['img'] for other in near]
            sample.update(clip=number, frame=frame, frames=frames)
        return sample

    def _rendered(self, index: int) -> dict[str, Any]:
        """A rendered image with its labels, from memory if it is kept there."""
        if self._cache is None:
            return self._render(index)
        if index not in self._cache:
            self._cache[index] = self._render(index)
        kept = self._cache[index]
        labels = {name: array.copy() for name, array in kept['labels'].items()}
        return dict(kept, img=kept['img'].copy(), labels=labels)

    def _render(self, index: int) -> dict[str, Any]:
        scene = self.scene(index)
        view = View(scene, self.size)
        makers = dict(
            semseg=lambda: view.per_pixel(scene.category).astype(np.uint8),
            human_parts=lambda: self._parts(view.per_pixel(scene.part)),
            sal=lambda: view.per_pixel(scene.salient).astype(np.uint8),
            normals=lambda: camera_normals(view),
            depth=lambda: view.hits.t.reshape(self.size).astype(np.float32),
            edge=lambda: edges(view),
        )
        whole = {}
        if not set(self.labels) <= set(LABELS):
            whole = attributes(Maps.of(view), scene.materials.texture)
        return dict(
            img=picture(view, self.antialias, self.shadow_samples),
            labels={
                name: np.array(whole[name]) if name in whole else makers[name]()
                for name in self.labels
            },
            img_id=f'{self.split}_{self.seed}_{index:06d}',
            img_path=None,
        )

    def _parts(self, parts: np.ndarray) -> np.ndarray:
        if self.parts_without_figure == 'ignore' and not parts.any():
            return np.full(parts.shape, LABELS['human_parts'].ignored, np.uint8)
        return parts.astype(np.uint8)
