"""Movement of a clip: the camera sways and pans, the thing in front walks to and fro."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .geometry import Camera, Solid

SWAY, PAN, WALK = (0.12, 0.06, 0.04), 0.06, 0.3
"""Largest displacement of the camera (right, forward, up; metres), its largest turn about the
vertical (radians), and the thing's largest displacement (metres), at strength 1."""


@dataclass(frozen=True)
class Motion:
    """Sines of time, all zero in frame 0, which shows the scene as it was composed.

    Args:
        rate: Radians per frame of camera (right, forward, up), pan and walk (5,).
        heading: Direction in which the thing walks, radians.
        strength: Factor on all displacements; 0 for a clip of equal frames.
    """

    rate: np.ndarray
    heading: float
    strength: float

    @classmethod
    def draw(cls, rng: np.random.Generator, strength: float) -> Motion:
        """A random movement; signs of the rates are signs of the directions."""
        sign = rng.choice([-1.0, 1.0], 5)
        return cls(sign * rng.uniform(0.15, 0.35, 5), rng.uniform(-np.pi, np.pi), strength)

    def move(
        self, frame: int, camera: Camera, solids: Sequence[Solid], instance: Sequence[int]
    ) -> tuple[Camera, list[Solid]]:
        """Camera and solids in a frame; the thing is number 0, with what stands on it."""
        if frame == 0 or self.strength == 0 or not solids:
            return camera, list(solids)
        wave = self.strength * np.sin(self.rate * frame)
        turn = PAN * wave[3]
        c, s = np.cos(turn), np.sin(turn)
        pan = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        position = camera.position + np.array(SWAY) * wave[:3]
        step = WALK * wave[4] * np.array([np.cos(self.heading), np.sin(self.heading)])
        place = tuple(solids[instance.index(0)].origin[:2])
        moved = [
            s._replace(origin=(place[0] + step[0], place[1] + step[1], s.origin[2]))
            if tuple(s.origin[:2]) == place
            else s
            for s in solids
        ]
        return Camera(position, pan @ camera.rotation, camera.focal), moved
