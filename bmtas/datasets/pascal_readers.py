"""Readers of PASCAL-Context's labels that need more than one file or a table."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import cv2
import numpy as np

from bmtas.kinds import Classes, Kind, Mask, Normals
from bmtas.thinning import thin

from .files import read_array, read_image, read_mat

NUM_CONTEXT_CLASSES = 459

NORMALS_CLASSES = (
    *(3, 4, 6, 9, 10, 11, 13, 15, 17, 18, 22, 23, 29, 30, 33, 34, 36, 37, 38, 39, 41, 43, 46),
    *(49, 50, 51, 53, 55, 56, 59, 61, 62, 65, 66, 68, 69, 72, 73, 78, 83, 84, 85, 87, 88, 95),
    *(96, 101, 104, 105, 107, 111, 113, 115, 122, 124, 135, 141, 142, 143, 146, 150, 154, 157),
    *(158, 159, 165, 172, 174, 181, 183, 184, 191, 193, 195, 197, 199, 202, 213, 215, 216, 219),
    *(220, 223, 225, 228, 230, 232, 233, 238, 239, 242, 243, 246, 250, 251, 252, 255, 260, 261),
    *(263, 269, 272, 273, 275, 281, 283, 284, 285, 286, 287, 288, 290, 291, 292, 293, 295, 304),
    *(307, 309, 310, 314, 315, 319, 323, 329, 330, 331, 336, 342, 345, 349, 350, 351, 352, 355),
    *(357, 368, 370, 371, 374, 379, 380, 383, 384, 397, 401, 403, 405, 407, 408, 411, 412, 413),
    *(414, 417, 419, 421, 423, 427, 429, 430, 432, 440, 441, 442, 443, 444, 446, 454, 457),
)
"""Context classes on which the distilled normals are kept: those 169 of the 459 names that also
are among NYU's 894 ("unknown" left out), and tvmonitor (Maninis et al., CVPR 2019)."""

PERSON = 15
"""Category id of persons in the part annotation."""

PERSON_PARTS = {
    **dict.fromkeys(('hair', 'head', 'lear', 'rear', 'lebrow', 'rebrow', 'leye', 'reye'), 1),
    **dict.fromkeys(('mouth', 'nose'), 1),
    **dict.fromkeys(('torso', 'neck'), 2),
    **dict.fromkeys(('luarm', 'ruarm'), 3),
    **dict.fromkeys(('llarm', 'rlarm', 'lhand', 'rhand'), 4),
    **dict.fromkeys(('luleg', 'ruleg'), 5),
    **dict.fromkeys(('llleg', 'rlleg', 'lfoot', 'rfoot'), 6),
}
"""The 24 parts of persons -> head, torso, upper arms, lower arms, upper legs, lower legs."""

LABEL_MAPS = 'pascal-context/trainval'


def read_label_map(root: Path, img_id: str) -> np.ndarray:
    """The map (H, W) of the 459 context classes, uint16, 0 unlabelled.

    Raises:
        FileNotFoundError, ValueError: Missing or damaged file, or ids that do not exist.
    """
    path = root / LABEL_MAPS / f'{img_id}.mat'
    label_map = read_array(path, 'LabelMap')
    if label_map.ndim != 2:
        raise ValueError(f'{path}: LabelMap has shape {label_map.shape}, expected (H, W)')
    low, high = int(label_map.min()), int(label_map.max())
    if low < 0 or high > NUM_CONTEXT_CLASSES:
        raise ValueError(f'{path}: class ids {low}..{high}, expected 0..{NUM_CONTEXT_CLASSES}')
    return label_map.astype(np.uint16, copy=False)


def edges_from_labels(label_map: np.ndarray) -> np.ndarray:
    """Thinned class boundaries (H, W) uint8: where the 4-neighbour Laplacian is not zero."""
    laplacian = cv2.Laplacian(label_map.astype(np.float32), cv2.CV_32F)  # small integers: exact
    return thin(laplacian != 0).astype(np.uint8)


class _Reader:
    optional = False
    kind: Kind

    def paths(self, root: Path, img_id: str) -> list[Path]:
        """The files that the label of ``img_id`` needs."""
        raise NotImplementedError

    def read(self, root: Path, img_id: str) -> np.ndarray:
        """The label."""
        raise NotImplementedError


class ContextSemsegReader(_Reader):
    """21 classes (background and those of VOC), of VOC itself where it has the image."""

    kind = Classes(21)

    def paths(self, root: Path, img_id: str) -> list[Path]:
        path = root / 'semseg' / 'VOC12' / f'{img_id}.png'
        return [path if path.is_file() else root / 'semseg' / 'pascal-context' / path.name]

    def read(self, root: Path, img_id: str) -> np.ndarray:
        path = self.paths(root, img_id)[0]
        return self.kind.decode(read_array(path), path)


class ContextEdgeReader(_Reader):
    """Boundaries of all 459 classes."""

    kind = Mask()

    def paths(self, root: Path, img_id: str) -> list[Path]:
        return [root / LABEL_MAPS / f'{img_id}.mat']

    def read(self, root: Path, img_id: str) -> np.ndarray:
        return edges_from_labels(read_label_map(root, img_id))


class ContextNormalsReader(_Reader):
    """Distilled normals, kept where the class of the pixel is one that the teacher knew.

    Args:
        classes: Context class ids on which normals are valid; None for everywhere.
    """

    kind = Normals()

    def __init__(self, classes: Collection[int] | None) -> None:
        self.valid = None
        if classes is not None:
            self.valid = np.zeros(NUM_CONTEXT_CLASSES + 1, bool)
            if not all(0 <= c <= NUM_CONTEXT_CLASSES for c in classes):
                raise ValueError(f'normals_classes: ids are 1 to {NUM_CONTEXT_CLASSES}')
            self.valid[list(classes)] = True

    def paths(self, root: Path, img_id: str) -> list[Path]:
        paths = [root / 'normals_distill' / f'{img_id}.png']
        if self.valid is not None:
            paths.append(root / LABEL_MAPS / f'{img_id}.mat')
        return paths

    def read(self, root: Path, img_id: str) -> np.ndarray:
        path = self.paths(root, img_id)[0]
        raw = read_array(path)
        if self.valid is None:
            return self.kind.decode(raw, path)
        label_map = read_label_map(root, img_id)
        if label_map.shape != raw.shape[:2]:
            raise ValueError(
                f'{path}: normals are {raw.shape[0]}x{raw.shape[1]}, the label map of the image '
                f'is {label_map.shape[0]}x{label_map.shape[1]}; they must agree'
            )
        return self.kind.decode(raw, path, valid=self.valid[label_map])


class PersonPartsReader(_Reader):
    """Seven classes: background and six merged parts of all persons; zeros without a person.

    Parts are painted in the order of the file, later ones over earlier ones. The file's
    ``anno`` nests: image -> objects (class, category, mask, parts) -> parts (name, mask).
    """

    kind = Classes(7)

    def paths(self, root: Path, img_id: str) -> list[Path]:
        return [root / 'human_parts' / f'{img_id}.mat']

    def read(self, root: Path, img_id: str) -> np.ndarray:
        path = self.paths(root, img_id)[0]
        anno = read_mat(path, 'anno')
        try:
            objects = anno[0][0][1]
            if objects.size == 0:
                image = read_image(root / 'JPEGImages' / f'{img_id}.jpg')
                return np.zeros(image.shape[:2], np.uint8)
            return self._paint(objects[0])
        except (AttributeError, IndexError, TypeError, KeyError) as error:
            raise ValueError(f'{path}: not a part annotation ({error})') from None

    @staticmethod
    def _paint(objects: np.ndarray) -> np.ndarray:
        label = np.zeros(objects[0][2].shape, np.uint8)
        for item in objects:
            if int(item[1][0][0]) != PERSON or item[3].size == 0:
                continue
            for part in item[3][0]:
                label[part[1] > 0] = PERSON_PARTS[str(part[0][0])]
        return label
