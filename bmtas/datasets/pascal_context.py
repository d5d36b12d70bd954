"""PASCAL-Context with five labels, as in the PASCAL_MT and PASCALContext archives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from bmtas.registry import DATASETS

from .folder import MultiTaskFolder
from .label_file import LabelFile
from .pascal_readers import (
    NORMALS_CLASSES,
    ContextEdgeReader,
    ContextNormalsReader,
    ContextSemsegReader,
    PersonPartsReader,
)


@DATASETS.register_module()
class PascalContext(MultiTaskFolder):
    """PASCAL-Context: semseg (21 classes), human_parts (7), sal, normals, edge.

    Args:
        data_root: The unpacked ``PASCAL_MT`` or ``PASCALContext`` folder (same tree).
        split: ``train`` (4998 images) or ``val`` (5105).
        labels: Keys of the labels to load; all by default.
        normals_classes: Context class ids (1 to 459) on which the distilled normals are valid;
            the 170 of the original by default, None for everywhere.
        pipeline: Transforms. Images without persons have an all-zero ``human_parts`` map;
            ``IgnoreAbsentForeground`` turns it into an ignored one.
        augmentation_seed: Seed of the transforms' random numbers.
        kinds: Label key -> kind that the task table expects.
    """

    expected_sizes = dict(train=4998, val=5105)
    published = 'pascal'

    def __init__(
        self,
        data_root: str,
        split: str,
        labels: Sequence[str] | None = None,
        normals_classes: Collection[int] | None = NORMALS_CLASSES,
        pipeline: Sequence[Mapping[str, Any] | Callable] = (),
        augmentation_seed: int = 0,
        kinds: Mapping[str, Any] | None = None,
    ) -> None:
        self.normals_classes = normals_classes
        super().__init__(
            data_root,
            split,
            labels,
            img_folder='JPEGImages',
            split_folder='ImageSets/Context',
            pipeline=pipeline,
            augmentation_seed=augmentation_seed,
            kinds=kinds,
        )

    def size_problems(self, sizes: Collection[tuple[int, int]]) -> list[str]:
        """The longest side of the archive's images is 500."""
        longest = max((max(size) for size in sizes), default=500)
        if longest == 500:
            return []
        return [f'the longest side of the images is {longest}, that of the archive 500']

    def build_readers(self, label_files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        return dict(
            semseg=ContextSemsegReader(),
            human_parts=PersonPartsReader(),
            sal=LabelFile('sal_distill', 'mask', threshold=127.5),
            normals=ContextNormalsReader(self.normals_classes),
            edge=ContextEdgeReader(),
        )
