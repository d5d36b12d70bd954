"""Metrics: one instance per task, sums instead of predictions, Delta_m, constant predictor."""

from bmtas.evaluation.base import TaskMetric
from bmtas.evaluation.boundary import BoundaryFMeasure
from bmtas.evaluation.category import CategoryScores
from bmtas.evaluation.constant import ConstantPredictor, constant_scores
from bmtas.evaluation.delta import compare_results, delta_m, load_results, relative_gains
from bmtas.evaluation.depth import DepthError
from bmtas.evaluation.digest import MANY, Line, digest, extremes, mean_of, shown_tasks
from bmtas.evaluation.edge import EdgeFMeasure
from bmtas.evaluation.elasticity import elasticities, elasticity_lines
from bmtas.evaluation.mean_iou import MeanIoU
from bmtas.evaluation.normals import NormalsError
from bmtas.evaluation.saliency import SaliencyIoU

__all__ = [
    'MANY',
    'BoundaryFMeasure',
    'CategoryScores',
    'ConstantPredictor',
    'DepthError',
    'EdgeFMeasure',
    'Line',
    'MeanIoU',
    'NormalsError',
    'SaliencyIoU',
    'TaskMetric',
    'compare_results',
    'constant_scores',
    'delta_m',
    'digest',
    'elasticities',
    'elasticity_lines',
    'extremes',
    'load_results',
    'mean_of',
    'relative_gains',
    'shown_tasks',
]
