"""NYUD-v2 with four labels, in the layouts of the archives that circulate."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from bmtas.registry import DATASETS

from .folder import MultiTaskFolder
from .label_file import LabelFile

# 0 is unlabelled; the 40 classes count from 1 in the files
SEMSEG = dict(folder='segmentation', kind='classes', num_classes=40, ignore=[0, 255], offset=-1)
_EDGE_IMAGE = dict(folder='edge', kind='mask', threshold=127)
_DEPTH = dict(folder='depth', kind='depth')
_NORMALS = dict(folder='normals', kind='normals')

LAYOUTS: Mapping[str, Mapping[str, Any]] = {
    'png': dict(
        img_suffix='.png',
        semseg=dict(SEMSEG, suffix='.png'),
        edge=dict(_EDGE_IMAGE, suffix='.png'),
        normals=dict(_NORMALS, suffix='.png'),
        depth=dict(_DEPTH, suffix='.npy'),
    ),
    'npy': dict(
        img_suffix='.jpg',
        semseg=dict(SEMSEG, suffix='.png'),
        edge=dict(folder='edge', kind='mask', suffix='.npy'),
        normals=dict(_NORMALS, suffix='.npy'),
        depth=dict(_DEPTH, suffix='.npy'),
    ),
    'mat': dict(
        img_suffix='.jpg',
        semseg=dict(SEMSEG, suffix='.mat', key='segmentation'),
        edge=dict(_EDGE_IMAGE, suffix='.png'),
        normals=dict(_NORMALS, suffix='.jpg'),
        depth=dict(_DEPTH, suffix='.mat', key='depth'),
    ),
}
"""Layout -> files of each label. 'png': NYUDv2.tar.gz of ATRC (425x560); 'npy': NYUD_MT.tgz of
MTI-Net and later ATRC (480x640); 'mat': NYUD_MT.tgz of ASTMT (425x560)."""

SIZES = {(425, 560), (480, 640)}
"""Height and width of the images in the archives."""

_LAYOUT_OF_NORMALS = {'.png': 'png', '.npy': 'npy', '.jpg': 'mat'}


def _shown(sizes: Collection[tuple[int, int]]) -> str:
    return ' or '.join(f'{height}x{width}' for height, width in sizes)


def detect_layout(root: Path) -> str:
    """The layout of an unpacked archive, by the type of its normals files.

    Raises:
        FileNotFoundError: No folder of normals, or one without files of a known type.
    """
    folder = root / 'normals'
    suffixes = {path.suffix.lower() for path in folder.iterdir()} if folder.is_dir() else set()
    found = [layout for suffix, layout in _LAYOUT_OF_NORMALS.items() if suffix in suffixes]
    if len(found) == 1:
        return found[0]
    state = 'files of several types' if found else 'no .png, .npy or .jpg files'
    raise FileNotFoundError(
        f'{folder}: {state if folder.is_dir() else "folder not found"}, cannot tell the layout; '
        f'name it with layout= ({", ".join(LAYOUTS)})'
    )


@DATASETS.register_module()
class NYUD(MultiTaskFolder):
    """NYUD-v2: semseg (40 classes), depth (metres), normals, edge.

    Args:
        data_root: The unpacked ``NYUDv2`` or ``NYUD_MT`` folder.
        split: ``train`` (795 images) or ``val`` (654).
        labels: Keys of the labels to load; all by default.
        layout: Key of ``LAYOUTS``; detected from the files if None.
        options: See ``MultiTaskFolder``; ``label_files`` changes single labels of the layout, e.g.
            ``dict(depth=dict(suffix='.mat', key='depth'))``.
    """

    expected_sizes = dict(train=795, val=654)

    def __init__(
        self,
        data_root: str,
        split: str,
        labels: Sequence[str] | None = None,
        layout: str | None = None,
        **options: Any,
    ) -> None:
        if layout is not None and layout not in LAYOUTS:
            raise ValueError(f'NYUD: unknown layout {layout!r}, choose from {sorted(LAYOUTS)}')
        root = Path(data_root)
        self.layout = layout
        self.data_root = root
        if layout is None and root.is_dir():
            try:
                self.layout = detect_layout(root)
            except FileNotFoundError as error:
                raise FileNotFoundError(f'{error}; {self.how_to_get}') from None
        img_suffix = LAYOUTS[self.layout or 'png']['img_suffix']
        super().__init__(data_root, split, labels, **{'img_suffix': img_suffix, **options})

    @property
    def published(self) -> str:
        """The archive of MTI-Net has another address than the other two."""
        return 'nyud_mti' if self.layout == 'npy' else 'nyud'

    def size_problems(self, sizes: Collection[tuple[int, int]]) -> list[str]:
        """All images have one size: 425x560, or 480x640 in the archive of MTI-Net."""
        if len(sizes) > 1:
            return [f'images of {len(sizes)} sizes, e.g. {_shown(sorted(sizes)[:2])}; all have one']
        if set(sizes) <= SIZES:
            return []
        return [f'images are {_shown(sizes)}, those of the archives {_shown(sorted(SIZES))}']

    def build_readers(self, label_files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        specs = {k: v for k, v in LAYOUTS[self.layout].items() if k != 'img_suffix'}
        return {
            name: LabelFile(**{**specs.get(name, {}), **label_files.get(name, {})})
            for name in {**specs, **label_files}
        }
