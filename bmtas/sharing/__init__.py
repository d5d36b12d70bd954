"""Computation sharing: every task is a base task's network plus a small delta.

Shoouri et al., "Efficient Computation Sharing for Multi-Task Visual Scene Understanding", ICCV
2023; see docs/computation_sharing.md. A plug-in: configs name it in ``custom_imports``.
"""

from bmtas.engine import add_section
from bmtas.sharing.clips import ClipTestLoop
from bmtas.sharing.deltas import LowRankDelta, SparseDelta
from bmtas.sharing.encoder import DeltaEncoder
from bmtas.sharing.loops import SharingTestLoop, SharingTrainLoop
from bmtas.sharing.model import SharingModel
from bmtas.sharing.optim import CoolDownLR, SharingOptimWrapperConstructor
from bmtas.sharing.section import sharing_section
from bmtas.sharing.video import VideoState

__all__ = [
    'ClipTestLoop',
    'CoolDownLR',
    'DeltaEncoder',
    'LowRankDelta',
    'SharingModel',
    'SharingOptimWrapperConstructor',
    'SharingTestLoop',
    'SharingTrainLoop',
    'SparseDelta',
    'VideoState',
]

add_section('sharing', sharing_section)
