"""Averages over flips and scales against networks whose answer is known."""

import pytest
import torch

from bmtas.kinds import build_kind
from bmtas.models.test_time import TestTime
from bmtas.tasks import Task

TASKS = [
    Task('seg', build_kind(dict(type='classes', num_classes=3))),
    Task('normals', build_kind('normals')),
    Task('depth', build_kind('depth')),
    Task('place', build_kind(dict(type='category', num_classes=2))),
]


def equivariant(images):
    """A network that sees the same world in a mirror and through a magnifying glass."""
    zoom = images.shape[-1] / 24
    vectors = images.clone()  # the first component is signed: where the left half is bright
    return dict(
        seg=images,
        normals=vectors,
        depth=images[:, :1] / zoom,
        place=images.mean((2, 3))[:, :2],
    )


def test_an_equivariant_network_is_not_changed():
    flat = torch.rand(2, 3, 1, 1).expand(2, 3, 16, 24)
    signed = flat.clone()

    def network(images):
        found = equivariant(images)
        # a mirrored image shows the normal with the other sign
        side = torch.sign(images[:, 2:3, :, :12].mean() - images[:, 2:3, :, 12:].mean())
        return found | dict(normals=torch.cat([side * images[:, :1], images[:, 1:]], 1))

    ramp = torch.linspace(1, 0, 24).expand(2, 1, 16, 24)
    signed = torch.cat([flat[:, :2], ramp], 1)
    alone = network(signed)
    found = TestTime(flip=True).logits(network, signed, TASKS)
    for name in ('seg', 'depth', 'normals'):
        torch.testing.assert_close(found[name], alone[name])
    scaled = TestTime(scales=(0.5, 1.0, 2.0)).logits(equivariant, flat, TASKS)
    torch.testing.assert_close(scaled['depth'], flat[:, :1])  # each copy gives the true distance
    torch.testing.assert_close(scaled['place'], flat.mean((2, 3))[:, :2])


def test_copies_are_averaged():
    def lopsided(images):
        return dict(seg=torch.arange(4.0).expand(1, 3, 2, 4))

    found = TestTime(flip=True).logits(lopsided, torch.zeros(1, 3, 2, 4), TASKS[:1])
    torch.testing.assert_close(found['seg'], torch.full((1, 3, 2, 4), 1.5))
    with pytest.raises(ValueError, match='scales must be positive'):
        TestTime(scales=(0.0,))


def test_maps_of_an_image_level_task_are_averaged():
    """Copies of other sizes give maps of other sizes."""
    found = TestTime(scales=(0.5, 1.0)).logits(lambda x: dict(place=x), torch.ones(2, 2, 8, 8),
                                               TASKS[3:])  # fmt: skip
    assert torch.equal(found['place'], torch.ones(2, 2))
