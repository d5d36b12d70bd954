"""Network codes: records, codes, exact costs, the network, the predictor, propagation."""

from .codes import CodeError, NetworkCode
from .cost import CostModel
from .data import RecordTable, load_records, load_settings
from .network import (
    MultiResolutionClassificationHead,
    MultiResolutionNetwork,
    MultiResolutionSegmentationHead,
    build_network,
)
from .spaces import MultiResolutionSpace

__all__ = [
    'CodeError',
    'CostModel',
    'MultiResolutionClassificationHead',
    'MultiResolutionNetwork',
    'MultiResolutionSegmentationHead',
    'MultiResolutionSpace',
    'NetworkCode',
    'RecordTable',
    'build_network',
    'load_records',
    'load_settings',
]
