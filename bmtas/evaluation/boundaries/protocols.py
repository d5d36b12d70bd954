"""How published figures are computed: thresholds, tolerance, suppression of non-maxima."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bmtas.evaluation.boundaries.counts import make_thresholds
from bmtas.evaluation.boundaries.files import TRUTH_KINDS
from bmtas.evaluation.boundaries.nms import suppress_non_maxima


@dataclass(frozen=True)
class Protocol:
    """Options of the benchmark.

    Args:
        thresholds: Number of thresholds, see ``make_thresholds``.
        tolerance: Largest distance as a fraction of the image diagonal.
        nms: Non-maximum suppression before thresholding.
        smooth: Radius in pixels of the triangle filter before the suppression; 0 for none.
        rounded: The suppressed map is rounded to 8 bits, as if written to a file in between.
        strict: Boundary is where probability > threshold, else where >=.
        truth: One of ``TRUTH_KINDS``.
        interpolate: Berkeley's interpolation of the best F between thresholds.
        source: Whose protocol it is.
    """

    thresholds: int = 99
    tolerance: float = 0.0075
    nms: bool = False
    smooth: int = 0
    rounded: bool = False
    strict: bool = False
    truth: str = 'lines'
    interpolate: bool = False
    source: str = ''

    def __post_init__(self) -> None:
        make_thresholds(self.thresholds)
        if not 0 < self.tolerance < 1:
            raise ValueError(
                'tolerance: must be a fraction of the diagonal between 0 and 1, '
                f'got {self.tolerance}'
            )
        if self.truth not in TRUTH_KINDS:
            raise ValueError(f'truth: unknown kind {self.truth!r}, choose from {TRUTH_KINDS}')

    def prepare(self, probability: np.ndarray) -> np.ndarray:
        """The map that is compared with the thresholds, (H, W) in [0, 1]."""
        if not self.nms:
            return probability
        kept = suppress_non_maxima(probability, self.smooth)
        return np.round(255 * kept) / 255 if self.rounded else kept


PROTOCOLS: Mapping[str, Protocol] = {
    'bsds-raw': Protocol(
        interpolate=True,
        source='Berkeley benchmark (Arbelaez et al., PAMI 2011), maps as they are',
    ),
    'bsds-hed': Protocol(
        nms=True,
        smooth=1,
        rounded=True,
        interpolate=True,
        source='HED (Xie and Tu, ICCV 2015), RCF, PiDiNet: triangle filter of radius 1, '
        'suppression, 8 bits, then the structured edge toolbox',
    ),
    'pascal-seism': Protocol(
        thresholds=101,
        nms=True,
        strict=True,
        source='ASTMT (Maninis et al., CVPR 2019) with SEISM, LabelMap of PASCAL-Context',
    ),
    'pascal-mti': Protocol(
        source='MTI-Net (Vandenhende et al., ECCV 2020) with SEISM, no suppression',
    ),
    'nyud-seism': Protocol(
        thresholds=101,
        tolerance=0.011,
        nms=True,
        strict=True,
        truth='segmentation',
        source='ATRC and InvPT with SEISM, which reads the drawn edges of NYUD-v2 as regions',
    ),
    'nyud-mti': Protocol(
        tolerance=0.011,
        truth='segmentation',
        source='MTI-Net with SEISM on NYUD-v2, no suppression',
    ),
}


def make_protocol(name: str | None = None, **options: Any) -> Protocol:
    """A named protocol, or the plain one, with some options changed; None changes nothing.

    Suppression without a named protocol goes with ``strict``, as in SEISM.

    Raises:
        ValueError: Unknown name or a value out of range.
    """
    if name is not None and name not in PROTOCOLS:
        raise ValueError(f'protocol: unknown {name!r}, choose from {", ".join(PROTOCOLS)}')
    given = {key: value for key, value in options.items() if value is not None}
    if name is None and given.get('nms'):
        given.setdefault('strict', True)
    return replace(PROTOCOLS[name] if name else Protocol(), **given)
