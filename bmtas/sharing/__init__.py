"""Computation sharing: every task is a base task's network plus a small delta.

Shoouri et al., "Efficient Computation Sharing for Multi-Task Visual Scene Understanding", ICCV
2023; see docs/computation_sharing.md. A plug-in: configs name it in ``custom_imports``.
"""

from bmtas.sharing.deltas import LowRankDelta, SparseDelta
from bmtas.sharing.encoder import DeltaEncoder
from bmtas.sharing.video import VideoState

__all__ = ['DeltaEncoder', 'LowRankDelta', 'SparseDelta', 'VideoState']
