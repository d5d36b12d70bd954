"""Boundary benchmark: thinning, matching within a distance, odsF, oisF and AP."""

from bmtas.evaluation.boundaries.benchmark import find_pairs, run_benchmark
from bmtas.evaluation.boundaries.counts import image_counts, make_thresholds
from bmtas.evaluation.boundaries.matching import BoundaryMatcher
from bmtas.evaluation.boundaries.nms import suppress_non_maxima
from bmtas.evaluation.boundaries.protocols import PROTOCOLS, Protocol, make_protocol
from bmtas.evaluation.boundaries.scores import (
    BoundaryScores,
    best_counts,
    recall_precision_f,
    summarize,
)

__all__ = [
    'PROTOCOLS',
    'BoundaryMatcher',
    'BoundaryScores',
    'Protocol',
    'best_counts',
    'find_pairs',
    'image_counts',
    'make_protocol',
    'make_thresholds',
    'recall_precision_f',
    'run_benchmark',
    'summarize',
    'suppress_non_maxima',
]
