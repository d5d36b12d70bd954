"""Class maps: values of files of any sign and type, and more classes than a byte holds."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from bmtas.evaluation import MeanIoU
from bmtas.kinds import Classes
from bmtas.registry import MODELS

PATH = Path('a.png')


def decode(values, dtype=np.int64, num_classes=3, **options):
    return Classes(num_classes, **options).decode(np.array(values, dtype), PATH)


@pytest.mark.parametrize('dtype', [np.uint8, np.int8, np.int16, np.int64, np.float32, np.uint16])
def test_a_negative_ignore_value_means_itself(dtype):
    np.testing.assert_array_equal(
        decode([[0, 0, 1], [2, 2, 1]], dtype, ignore=-1), [[0, 0, 1], [2, 2, 1]]
    )


@pytest.mark.parametrize('dtype', [np.int8, np.int16, np.int64, np.float64])
def test_maps_that_hold_the_negative_ignore_value(dtype):
    np.testing.assert_array_equal(
        decode([[0, -1, 1], [2, 2, -1]], dtype, ignore=-1), [[0, 255, 1], [2, 2, 255]]
    )
    # every rule at once: -7 and 9 have no label, the others count from -3
    np.testing.assert_array_equal(
        decode([[-7, -3, -2], [-1, 9, -3]], dtype, ignore=[-7, 9], offset=3),
        [[255, 0, 1], [2, 255, 0]],
    )
    np.testing.assert_array_equal(
        decode([[-7, -3, 100], [-1, 9, -3]], dtype, remap={-3: 2, 100: 0}),
        [[255, 2, 0], [255, 255, 2]],
    )


def test_values_far_apart():
    # packed colours: too wide a range for a table
    values = [[16711680, 255], [65280, 16711680]]
    ids = decode(values, np.int32, remap={16711680: 0, 255: 1, 65280: 2})
    np.testing.assert_array_equal(ids, [[0, 1], [2, 0]])
    with pytest.raises(ValueError, match='a.png: value 255 decodes to class 255, outside 0..2'):
        decode(values, np.int32, ignore=-1)


@pytest.mark.parametrize(
    ('values', 'options', 'message'),
    [
        ([[0, -1]], {}, 'value -1 decodes to class -1'),
        ([[0, 3]], {}, 'value 3 decodes to class 3'),
        ([[0.0, 0.5]], {}, 'whole numbers'),
        ([[0.0, float('nan')]], {}, 'whole numbers'),
        ([[[0, 1], [1, 0]]], {}, 'two dimensions'),
    ],
)
def test_impossible_values(values, options, message):
    with pytest.raises(ValueError, match=message):
        Classes(3, **options).decode(np.array(values), PATH)


def test_the_largest_value_of_64_bits_everywhere():
    top = 2**64 - 1
    assert decode([[top, top]], np.uint64, ignore=top).tolist() == [[255, 255]]


@pytest.mark.parametrize('remap', [{'a': 1}, {1: 3}, {1: -1}, {1.5: 0}])
def test_tables_that_lead_nowhere(remap):
    with pytest.raises(ValueError, match=r'remap must lead from whole numbers to 0..2, got'):
        Classes(3, remap=remap)
    with pytest.raises(ValueError, match='offset and remap exclude each other'):
        Classes(3, remap={1: 0}, offset=-1)


def test_ignored_by_default():
    np.testing.assert_array_equal(decode([[0, 255]], np.uint8), [[0, 255]])
    many = Classes(300)
    ids = many.decode(np.array([[255, 299, 65535]], np.uint16), PATH)
    np.testing.assert_array_equal(ids, [[255, 299, -1]])
    np.testing.assert_array_equal(many.decode(np.array([[-1, 255]]), PATH), [[-1, 255]])
    with pytest.raises(ValueError, match='value 255'):
        decode([[0, 255]], np.uint8, ignore=[])


def test_options():
    for wrong in (0, -2, 2.5, True, 'many'):
        with pytest.raises(ValueError, match='num_classes must be a positive whole number'):
            Classes(wrong)
    with pytest.raises(ValueError, match='ignore: whole numbers'):
        Classes(3, ignore=[0.5])


def confusion(prediction, target, classes, ignored):
    found = np.zeros((classes, classes), np.int64)
    for p, t in zip(prediction.ravel().tolist(), target.ravel().tolist()):
        if t != ignored:
            found[t, p] += 1
    return found


def test_three_hundred_classes_by_brute_force():
    kind = Classes(300)
    rng = np.random.default_rng(0)
    raw = rng.integers(250, 300, (16, 20)).astype(np.uint16)
    raw[0] = 65535
    target = kind.to_tensor(kind.decode(raw, PATH))
    assert (target[1:] == torch.from_numpy(raw[1:].astype(np.int64))).all()
    assert not kind.labelled(target[0]).any() and kind.labelled(target[1:]).all()
    prediction = torch.from_numpy(np.where(rng.random(raw.shape) < 0.6, raw, 255).astype(np.int64))
    prediction[0] = 255
    matrix = confusion(prediction, target, 300, -1)
    union = matrix.sum(0) + matrix.sum(1) - matrix.diagonal()
    expected = 100 * np.mean((matrix.diagonal() / np.maximum(union, 1))[union > 0])

    metric = MeanIoU('parts', kind)
    metric.process(None, [dict(labels=dict(parts=target), predictions=dict(parts=prediction))])
    found = metric.evaluate(1)
    assert found['parts/mIoU'] == pytest.approx(expected) and 0 < expected < 100

    logits = torch.randn(2, 300, 16, 20, generator=torch.Generator().manual_seed(0))
    batch = torch.stack([target, kind.blank((16, 20))])
    loss = MODELS.build(dict(type='CrossEntropyLoss', kind=kind))(logits, batch)
    logs = torch.log_softmax(logits[0].double(), 0)
    by_hand = [-logs[target[y, x], y, x].item() for y in range(1, 16) for x in range(20)]
    assert loss.item() == pytest.approx(np.mean(by_hand), rel=1e-5)
    assert kind.label_sums(target).sum() == 15 * 20 and kind.label_sums(target)[255] > 0
    written = kind.to_file(prediction)
    assert written.dtype == np.uint16
    np.testing.assert_array_equal(kind.decode(written, PATH), prediction.numpy())


def test_transforms_bring_in_unlabelled_pixels():
    for kind, blank in ((Classes(4), 255), (Classes(300), -1)):
        array = kind.decode(np.array([[1, 2], [3, 0]]), PATH)
        padded = kind.pad(array, (1, 0, 0, 1))
        np.testing.assert_array_equal(padded, [[blank] * 3, [1, 2, blank], [3, 0, blank]])
        moved = kind.rotate(array, np.array([[1.0, 0, 1], [0, 1, 0]]), 0.0, 1.0)
        np.testing.assert_array_equal(moved, [[blank, 1], [blank, 3]])
        np.testing.assert_array_equal(kind.mirror(array), [[2, 1], [0, 3]])
        np.testing.assert_array_equal(kind.resize(array, (4, 4))[::2, ::2], array)
        assert math.isnan(kind.error(torch.zeros(2, 2).long(), kind.blank((2, 2))))


def test_values_so_far_off_that_the_offset_wraps():
    for value in (2**64 - 1, 2**64 - 2):
        with pytest.raises(ValueError, match=f'value {value} decodes to class'):
            Classes(3, offset=2).decode(np.array([[0, value]], np.uint64), PATH)
    marked = Classes(3, ignore=2**64 - 1).decode(np.array([[0, 2**64 - 1]], np.uint64), PATH)
    assert marked.tolist() == [[0, 255]]
