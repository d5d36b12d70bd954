"""Labels of whole images: small data in each published layout, and what is refused."""

from bmtas.datasets.image_level import held_out


def test_every_tenth_training_image_is_held_out():
    train, val = held_out(25, 'train'), held_out(25, 'val')
    assert val.tolist() == [9, 19] and sorted([*train, *val]) == list(range(25))
