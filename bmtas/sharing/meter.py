"""What the operators of a network have worked: by task, place and operator, summed over images."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from bmtas.sharing.ops import OpCount

Key = tuple[str, str, str]
"""Task, place (``stem``, ``layers.3``) and name of the operator inside it."""


@dataclass
class Meter:
    """Counts of a number of forward passes.

    Attributes:
        ops: Counts of each operator.
        runs: Images that went through each place for a task.
        images: Images in all.
        cache_bytes, all_bytes: Bytes of one image's references that are alive at once when
            networks go block by block, and of all of them.
    """

    ops: dict[Key, OpCount] = field(default_factory=dict)
    runs: dict[tuple[str, str], int] = field(default_factory=dict)
    images: int = 0
    cache_bytes: int = 0
    all_bytes: int = 0

    def op(self, task: str, place: str, name: str) -> OpCount:
        """The count of one operator, made when first asked for."""
        return self.ops.setdefault((task, place, name), OpCount())

    def dense(self, task: str, place: str, name: str, module: nn.Module, x, y) -> None:
        """Count an operator that ran without a reference."""
        products = y.numel() // module.weight.shape[0] * module.weight.numel()
        self.op(task, place, name).add(
            OpCount(dense=products, effective=products, executed=products)
        )

    def run(self, task: str, place: str, images: int) -> None:
        """Note that images went through a place for a task."""
        self.runs[task, place] = self.runs.get((task, place), 0) + images

    def caches(self, sizes: list[int], images: int) -> None:
        """Note the references' bytes of each place of one pass."""
        self.cache_bytes = max(self.cache_bytes, max(sizes, default=0) // images)
        self.all_bytes = max(self.all_bytes, sum(sizes) // images)

    def merge(self, other: Meter) -> None:
        """Add what another process has counted."""
        for key, count in other.ops.items():
            self.op(*key).add(count)
        for (task, place), images in other.runs.items():
            self.run(task, place, images)
        self.images += other.images
        self.cache_bytes = max(self.cache_bytes, other.cache_bytes)
        self.all_bytes = max(self.all_bytes, other.all_bytes)
