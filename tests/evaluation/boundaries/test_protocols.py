"""Named protocols: what each does to a map, by hand."""

from dataclasses import fields

import numpy as np
import pytest
from scipy import ndimage

from bmtas.cli import boundaries as command
from bmtas.evaluation import BoundaryFMeasure
from bmtas.evaluation.boundaries import PROTOCOLS, Protocol, make_protocol
from bmtas.evaluation.boundaries.nms import suppress_non_maxima, triangle_filter


def test_command_and_metric_know_all_of_them():
    assert tuple(PROTOCOLS) == command.PROTOCOLS
    assert set(command.OPTIONS) <= {field.name for field in fields(Protocol)}
    assert all(protocol.source for protocol in PROTOCOLS.values())
    metric = BoundaryFMeasure('edge', 'mask', protocol='nyud-seism', tolerance=0.02)
    assert (metric.protocol.thresholds, metric.protocol.tolerance) == (101, 0.02)
    with pytest.raises(ValueError, match="'edge': protocol: unknown 'nyud', choose from bsds-raw"):
        BoundaryFMeasure('edge', 'mask', protocol='nyud')


def test_triangle_of_radius_1_is_the_toolbox_kernel():
    """convTri(E, 1) is the filter [1 p 1] / (2 + p), p = 12 / r / (r + 2) - 2, mirrored."""
    values = np.random.default_rng(0).random((9, 12))
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    expected = ndimage.convolve(values, kernel, mode='reflect')
    np.testing.assert_allclose(triangle_filter(values, 1), expected)
    np.testing.assert_array_equal(triangle_filter(values, 0), values)


def test_hed_smooths_suppresses_and_rounds():
    values = ndimage.gaussian_filter(np.random.default_rng(1).random((40, 50)), 1.5)
    values = (values - values.min()) / np.ptp(values)
    found = PROTOCOLS['bsds-hed'].prepare(values)
    by_hand = np.round(255 * suppress_non_maxima(triangle_filter(values, 1))) / 255
    np.testing.assert_array_equal(found, by_hand)
    assert (found != suppress_non_maxima(values)).any()
    np.testing.assert_array_equal(PROTOCOLS['bsds-raw'].prepare(values), values)


def test_options_change_a_protocol():
    assert make_protocol() == Protocol()
    assert make_protocol(nms=True).strict and not PROTOCOLS['bsds-hed'].strict
    changed = make_protocol('bsds-hed', tolerance=0.02, thresholds=None)
    assert (changed.tolerance, changed.thresholds, changed.smooth) == (0.02, 99, 1)
