"""Network codes: records, codes, exact costs, the network, the predictor, propagation."""

from .codes import CodeError, NetworkCode
from .cost import CostModel
from .data import RecordTable, load_records, load_settings
from .dataset import NetworkCodeDataset
from .encoder import MultiResolutionEncoder
from .hooks import PredictorHook
from .metric import CodePredictionMetric
from .nasbench201 import CellSpace
from .network import (
    MultiResolutionClassificationHead,
    MultiResolutionNetwork,
    MultiResolutionSegmentationHead,
    build_network,
)
from .objective import Goal, Objective
from .predictor import CodePredictor, load_predictor
from .propagation import Steps, propagate
from .public import import_public_predictor
from .spaces import Budget, MultiResolutionSpace
from .strategies import CodeEvolution, CodeLocalSearch, CodePropagation, CodeRandomSearch

__all__ = [
    'Budget',
    'CellSpace',
    'CodeError',
    'CodeEvolution',
    'CodeLocalSearch',
    'CodePredictionMetric',
    'CodePredictor',
    'CodePropagation',
    'CodeRandomSearch',
    'CostModel',
    'Goal',
    'MultiResolutionClassificationHead',
    'MultiResolutionEncoder',
    'MultiResolutionNetwork',
    'MultiResolutionSegmentationHead',
    'MultiResolutionSpace',
    'NetworkCode',
    'NetworkCodeDataset',
    'Objective',
    'PredictorHook',
    'RecordTable',
    'Steps',
    'build_network',
    'import_public_predictor',
    'load_predictor',
    'load_records',
    'load_settings',
    'propagate',
]
