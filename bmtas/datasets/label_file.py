"""One label of a data set as one file per image: where it lies and how it is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bmtas.kinds import Kind, build_kind

from .files import read_array

OPTIONAL = 'if images may lack this label, set optional=True on it'


class LabelFile:
    """Reads a label from ``<root>/<folder>/<id><suffix>``.

    Args:
        folder: Folder below the data root.
        kind: Name of a kind (registry KINDS), or the kind itself.
        suffix: ``.png``, ``.jpg``, ``.npy``, ``.mat`` ...
        key: Variable in a ``.mat`` file; the folder's name by default.
        optional: Whether images may lack this label; such samples come without it.
        options: Options of the kind, among them how the file's values are decoded.

    Raises:
        ValueError: Unknown kind or option.
    """

    def __init__(
        self,
        folder: str,
        kind: str | Kind,
        suffix: str = '.png',
        key: str | None = None,
        optional: bool = False,
        **options: Any,
    ) -> None:
        own = ('suffix', 'key', 'optional')
        self.kind = build_kind(kind, f'label in {folder!r}', own, options)
        self.folder = folder
        self.suffix = suffix
        self.key = key
        self.optional = optional

    def paths(self, root: Path, img_id: str) -> list[Path]:
        """The files that the label of ``img_id`` needs."""
        return [root / self.folder / f'{img_id}{self.suffix}']

    def read(self, root: Path, img_id: str) -> np.ndarray | None:
        """The label, or None where it is optional and there is no file."""
        path = self.paths(root, img_id)[0]
        if self.optional and not path.is_file():
            return None
        try:
            return self.kind.decode(read_array(path, self.key), path)
        except FileNotFoundError as error:
            raise FileNotFoundError(f'{error}; {OPTIONAL}') from None
