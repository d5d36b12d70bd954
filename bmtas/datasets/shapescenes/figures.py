"""Jointed figures: persons whose parts are labelled, and four-legged animals."""

from __future__ import annotations

import numpy as np

from .objects import Builder, hsv

HEAD, TORSO, UPPER_ARM, LOWER_ARM, UPPER_LEG, LOWER_LEG = range(1, 7)

POSES = ('stand', 'walk', 'wave', 'cheer', 'reach', 'kick')


def _swing(pitch: float, spread: float) -> np.ndarray:
    """Direction of a hanging limb, swung forward by ``pitch`` and sideways by ``spread``."""
    return np.array(
        [np.sin(spread), np.sin(pitch) * np.cos(spread), -np.cos(pitch) * np.cos(spread)]
    )


def _angles(pose: str, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Joint angles in radians, each (left, right)."""
    angles = dict(
        arm=rng.uniform(-0.25, 0.25, 2),
        spread=rng.uniform(0.1, 0.35, 2),
        elbow=rng.uniform(0.1, 0.5, 2),
        leg=rng.uniform(-0.08, 0.08, 2),
        stride=rng.uniform(0.02, 0.16, 2),
        knee=rng.uniform(0.0, 0.1, 2),
    )
    side = rng.integers(2)
    other = 1 - side
    swing = rng.uniform(0.35, 0.65)
    if pose == 'walk':
        angles['leg'][[side, other]] = swing, -swing * 0.8
        angles['knee'][[side, other]] = 0.15, rng.uniform(0.5, 0.9)
        angles['arm'][[side, other]] = -swing, swing
    elif pose == 'wave':
        angles['spread'][side], angles['elbow'][side] = rng.uniform(1.7, 2.3), rng.uniform(0.2, 0.9)
    elif pose == 'cheer':
        angles['spread'][:] = rng.uniform(2.2, 2.8, 2)
    elif pose == 'reach':
        angles['arm'][:] = rng.uniform(1.1, 1.6, 2)
        angles['elbow'][:] = rng.uniform(0.0, 0.4, 2)
    elif pose == 'kick':
        angles['leg'][side], angles['knee'][side] = rng.uniform(0.7, 1.1), rng.uniform(0.1, 0.6)
        angles['arm'][:] = rng.uniform(-0.5, 0.5, 2)
        angles['spread'][:] = rng.uniform(0.4, 1.0, 2)
    return angles


def _sit(angles: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    angles['leg'][:] = rng.uniform(1.35, 1.55, 2)
    angles['knee'][:] = rng.uniform(1.3, 1.6, 2)
    angles['arm'][:] = rng.uniform(0.3, 0.9, 2)
    angles['elbow'][:] = rng.uniform(0.4, 0.9, 2)


def _clothes(build: Builder, rng: np.random.Generator) -> dict[str, int]:
    skin = np.array([0.96, 0.80, 0.69]) * (1 - rng.random() * np.array([0.62, 0.72, 0.78]))
    shirt = hsv(rng.random(), rng.uniform(0.45, 0.85), rng.uniform(0.55, 0.95))
    trousers = hsv(rng.choice([0.6, 0.62, 0.08, rng.random()]), rng.uniform(0.2, 0.6), 0.42)
    hair = hsv(rng.uniform(0.03, 0.11), rng.uniform(0.3, 0.8), rng.uniform(0.12, 0.6))
    texture = ('plain', 'plain', 'bands', 'checker', 'dots')[rng.integers(5)]
    scale = rng.uniform(0.1, 0.18)
    table = dict(
        skin=build.material(skin, gloss=0.15),
        shirt=build.material(shirt, (0.95, 0.94, 0.9), texture, scale, 0.05),
        trousers=build.material(trousers, gloss=0.05),
        hair=build.material(hair, gloss=0.3),
        shoes=build.material(hsv(rng.random(), 0.4, rng.uniform(0.15, 0.9)), gloss=0.3),
    )
    table['sleeve'] = table['shirt'] if rng.random() < 0.4 else table['skin']
    table['shin'] = table['trousers'] if rng.random() < 0.7 else table['skin']
    return table


def _arm(build, clothes, angles, side, shoulder, size):
    sign = 2 * side - 1
    pitch, spread = angles['arm'][side], sign * angles['spread'][side]
    elbow = shoulder + 0.165 * size * _swing(pitch, spread)
    bend = angles['elbow'][side]
    wrist = elbow + 0.15 * size * _swing(pitch + bend, spread * (1 + 0.3 * bend))
    build.limb(shoulder, elbow, 0.042 * size, 0.034 * size, clothes['shirt'], UPPER_ARM)
    build.limb(elbow, wrist, 0.034 * size, 0.026 * size, clothes['sleeve'], LOWER_ARM)
    build.ellipsoid(wrist + 0.1 * (wrist - elbow), 0.036 * size, clothes['skin'], LOWER_ARM)


def _leg(build, clothes, angles, side, hip, size) -> float:
    """Build a leg; returns the height of its sole above the hip (negative)."""
    sign = 2 * side - 1
    pitch, spread = angles['leg'][side], sign * angles['stride'][side]
    knee = hip + 0.235 * size * _swing(pitch, spread)
    below = pitch - angles['knee'][side]
    ankle = knee + 0.225 * size * _swing(below, spread)
    build.limb(hip, knee, 0.064 * size, 0.048 * size, clothes['trousers'], UPPER_LEG)
    build.limb(knee, ankle, 0.047 * size, 0.034 * size, clothes['shin'], LOWER_LEG)
    toe = np.array([0, 0.032, -0.012]) * size
    build.ellipsoid(ankle + toe, np.array([0.04, 0.078, 0.032]) * size, clothes['shoes'], LOWER_LEG)
    return ankle[2] + toe[2] - 0.032 * size


def person(build: Builder, rng: np.random.Generator, seat: float | None = None) -> float:
    """A standing person, or one that sits with its hip above a seat of the given height.

    ``size`` is the body height in metres; all lengths are fractions of it.
    """
    size = rng.uniform(1.45, 1.9)
    clothes = _clothes(build, rng)
    angles = _angles(POSES[rng.integers(len(POSES))] if seat is None else 'stand', rng)
    if seat is not None:
        _sit(angles, rng)
    start = len(build.solids)
    soles = [
        _leg(build, clothes, angles, side, np.array([(2 * side - 1) * 0.062 * size, 0, 0]), size)
        for side in (0, 1)
    ]
    lean = rng.uniform(-0.05, 0.12)
    up = np.array([0, np.sin(lean), np.cos(lean)])
    chest = 0.235 * size * up
    build.limb(0.03 * size * up, chest, 0.092 * size, 0.112 * size, clothes['shirt'], TORSO, 0.72)
    build.ellipsoid((0, 0, 0), np.array([0.105, 0.075, 0.07]) * size, clothes['trousers'], TORSO)
    for side in (0, 1):
        shoulder = np.array([(2 * side - 1) * 0.135 * size, 0, 0]) + 0.28 * size * up
        _arm(build, clothes, angles, side, shoulder, size)
    head = chest + 0.205 * size * up + np.array([0, 0.012, 0]) * size
    build.limb(chest + 0.06 * size * up, head, 0.04 * size, 0.036 * size, clothes['skin'], HEAD)
    build.ellipsoid(head, np.array([0.066, 0.072, 0.088]) * size, clothes['skin'], HEAD)
    hair = head + np.array([0, -0.016, 0.022]) * size
    build.ellipsoid(hair, np.array([0.074, 0.074, 0.08]) * size, clothes['hair'], HEAD)
    lift = -min(soles)
    if seat is not None:
        lift = max(lift, seat + 0.066 * size)
    for number in range(start, len(build.solids)):
        solid = build.solids[number]
        x, y, z = solid.centre
        build.solids[number] = solid._replace(centre=(x, y, z + lift))
    return 0.0


def animal(build: Builder, rng: np.random.Generator) -> float:
    """A four-legged animal with a head, ears and a tail."""
    size = rng.uniform(0.8, 1.25)
    tone = hsv(rng.uniform(0.04, 0.12), rng.uniform(0.1, 0.7), rng.uniform(0.25, 0.9))
    texture = ('plain', 'marble', 'dots')[rng.integers(3)]
    fur = build.material(tone, tone * 0.5, texture, rng.uniform(0.2, 0.35), 0.05)
    dark = build.material(tone * 0.45)
    swing = rng.uniform(-0.4, 0.4)
    hip, chest = np.array([0, -0.3, 0.5]) * size, np.array([0, 0.28, 0.53]) * size
    build.limb(hip, chest, 0.15 * size, 0.175 * size, fur)
    for x in (-0.09, 0.09):
        for root, sign in ((hip, 1), (chest, -1)):
            top = root + np.array([x, 0, -0.04]) * size
            foot = top + _swing(swing * sign * np.sign(x), 0.0) * (top[2] - 0.05 * size)
            foot[2] = 0.05 * size
            build.limb(top, foot, 0.075 * size, 0.05 * size, fur)
    turn = rng.uniform(-0.7, 0.7)
    facing = np.array([np.sin(turn), np.cos(turn), 0])
    head = chest + (np.array([0, 0.16, 0.26]) + 0.06 * facing) * size
    build.limb(chest, head, 0.12 * size, 0.09 * size, fur)
    build.ellipsoid(head, 0.135 * size, fur)
    build.limb(head, head + (0.19 * facing + [0, 0, -0.04]) * size, 0.08 * size, 0.055 * size, dark)
    side = np.array([facing[1], -facing[0], 0])
    for sign in (-1, 1):
        ear = head + (sign * 0.1 * side + [0, 0, 0.1]) * size
        build.ellipsoid(ear, np.array([0.045, 0.035, 0.09]) * size, dark)
    tail = hip + np.array([rng.uniform(-0.15, 0.15), -0.25, rng.uniform(0.0, 0.35)]) * size
    build.limb(hip + np.array([0, -0.1, 0.05]) * size, tail, 0.045 * size, 0.025 * size, fur)
    return 0.0
