"""An independent judge: kernel ridge regression on the records."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import RBFInterpolator

from .cost import RECORD_COST

# chosen on held-out rows of three settings; the result is flat around them
WIDTH, NOISE = 150.0, 0.1


class KernelJudge:
    """Predicts metrics from the records by another method than the predictor.

    Ridge regression with a Gaussian kernel on the code, its logarithms and the logarithms of its
    exact costs, all standardised. Where it knows little it falls back to the mean of the records,
    so for codes unlike any record it is a cautious estimate.

    Args:
        codes: (N, 27) recorded codes.
        targets: (N, outputs) recorded metrics.
    """

    def __init__(self, codes: np.ndarray, targets: np.ndarray) -> None:
        features = _features(codes)
        self.shift, self.scale = features.mean(0), features.std(0) + 1e-12
        self.mean, self.spread = targets.mean(0), targets.std(0) + 1e-12
        self.predict = RBFInterpolator(
            (features - self.shift) / self.scale,
            (targets - self.mean) / self.spread,
            smoothing=NOISE,
            kernel='gaussian',
            epsilon=1 / np.sqrt(2 * WIDTH),
            degree=-1,  # no polynomial: far from the records it is the mean
        )

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """Metrics (M, outputs) of codes (M, 27)."""
        features = (_features(codes) - self.shift) / self.scale
        return self.predict(features) * self.spread + self.mean


def _features(codes: np.ndarray) -> np.ndarray:
    codes = np.asarray(codes)
    madds, params = RECORD_COST.both(codes)
    return np.column_stack([codes, np.log2(codes), np.log(madds), np.log(params)])
