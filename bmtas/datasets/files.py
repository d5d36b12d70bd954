"""Reading split lists, images and arrays, with errors that name the file and what to do."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath

import numpy as np
from PIL import Image, ImageOps

from bmtas.files import read_text
from bmtas.mat_files import load_mat

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')
LARGEST = 1 << 28
"""Most values that an array file may hold; larger ones are taken for damaged."""
_ORIENTATION = 0x0112
_WITHOUT_RANGE = {'I': '32-bit integers', 'F': 'floats'}


def read_split(path: Path) -> list[str]:
    """The ids of a split file, one a line; blank lines and Windows line ends are harmless.

    Raises:
        FileNotFoundError: No such file; the message lists the splits that there are.
        ValueError: The list is empty or not UTF-8, an id occurs twice, or one leads out of the
            data folder.
    """
    if not path.is_file():
        found = sorted(p.stem for p in path.parent.glob('*.txt')) if path.parent.is_dir() else []
        there = f'there are {", ".join(found)}' if found else 'the folder holds no split files'
        raise FileNotFoundError(f'{path}: split file not found ({there})')
    ids = [line.strip() for line in read_text(path, 'split').splitlines()]
    ids = [name for name in ids if name]
    if not ids:
        raise ValueError(f'{path}: the split is empty, it must list one image id a line')
    check_inside(ids, path)
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    if repeated:
        shown = ', '.join(repeated[:3]) + (', ...' if len(repeated) > 3 else '')
        raise ValueError(f'{path}: {len(repeated)} ids are listed more than once: {shown}')
    return ids


def check_inside(names: Iterable[str], path: Path) -> None:
    """Refuse names of images that lead out of the data folder.

    Args:
        names: Ids or relative paths.
        path: The file that they stand in.

    Raises:
        ValueError: The first one that does.
    """
    for name in names:
        parts = PureWindowsPath(name)  # knows both kinds of slash, and drives
        if parts.anchor or '..' in parts.parts or '\0' in name:
            raise ValueError(f'{path}: id {name[:80]!r} leads out of the data folder')


@contextmanager
def _reading(path: Path, what: str) -> Iterator[None]:
    """Turn what a reader raises into one line that names the file."""
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(f'{path}: {what} not found') from None
    except (Image.DecompressionBombError, MemoryError):
        raise ValueError(f'{path}: too large to be read, make it smaller') from None
    except Exception as error:  # readers fail in many ways on a damaged file
        reason = str(error).strip().splitlines()
        raise ValueError(
            f'{path}: cannot be read, the file is damaged or of another format '
            f'({reason[0][:200] if reason else type(error).__name__}); fetch or write it again'
        ) from None


def _open_upright(path: Path) -> Image.Image:
    """An image turned as its EXIF entry says, which phones write instead of turning pixels."""
    source = path
    if path.suffix.lower() in ('.tif', '.tiff'):
        # Pillow turns TIFF files itself, but not plain ones that it maps into memory
        source = io.BytesIO(path.read_bytes())
    with Image.open(source) as img:
        img.load()
        if img.info and img.getexif().get(_ORIENTATION, 1) != 1:
            return ImageOps.exif_transpose(img)
        return img


def read_image(path: str | Path) -> np.ndarray:
    """An upright RGB image (H, W, 3), uint8; 16-bit values are scaled to 8 bits.

    Raises:
        FileNotFoundError, ValueError: Missing, damaged or far too large file, or pixels that
            could mean anything.
    """
    path = Path(path)
    with _reading(path, 'image'):
        img = _open_upright(path)
        if img.mode == 'RGB':
            return np.asarray(img)
        wide = img.mode.startswith('I;16') or (img.mode == 'I' and img.format == 'PNG')
        if wide:
            grey = ((np.asarray(img).astype(np.uint32) + 128) // 257).astype(np.uint8)
            return np.repeat(grey[..., None], 3, axis=2)
        if img.mode not in _WITHOUT_RANGE:
            return np.asarray(img.convert('RGB'))
    raise ValueError(
        f'{path}: the pixels are {_WITHOUT_RANGE[img.mode]}, whose range nobody knows; save the '
        'image with 8 or 16 bits for each channel'
    )


def read_mat(path: Path, key: str) -> np.ndarray:
    """Variable ``key`` of a MATLAB file, as ``scipy.io.loadmat`` returns it.

    Raises:
        FileNotFoundError, ValueError: Missing or damaged file, or no such variable.
    """
    content = load_mat(path)
    if key not in content:
        names = [name for name in content if not name.startswith('__')]
        raise ValueError(f'{path}: no variable {key!r}, the file has {names}')
    return content[key]


def read_array(path: Path, key: str | None = None) -> np.ndarray:
    """An array from an image file (palette indices stay indices), ``.npy``, or ``.mat``.

    An image file is turned only if it carries an EXIF orientation of its own.

    Args:
        path: The file; its suffix says the format.
        key: Variable to take from a ``.mat`` file.

    Raises:
        FileNotFoundError, ValueError: Missing or damaged file, unknown suffix, or content that
            is no array of numbers (an empty one, text, a MATLAB structure).
    """
    suffix = path.suffix.lower()
    if suffix == '.mat':
        array = read_mat(path, key or path.parent.name)
    elif suffix in IMAGE_SUFFIXES:
        with _reading(path, 'label file'):
            array = np.asarray(_open_upright(path))
    elif suffix == '.npy':
        array = _read_npy(path)
    else:
        raise ValueError(
            f'{path}: unknown suffix {suffix!r}, known: {", ".join(IMAGE_SUFFIXES)}, .npy, .mat'
        )
    if array.dtype.kind not in 'buif' or not array.size:
        what = f'{array.dtype.name} of shape {array.shape}'
        raise ValueError(f'{path}: holds no map of numbers ({what}); fetch or write it again')
    return array


def _read_npy(path: Path) -> np.ndarray:
    """A NumPy file; a header that promises more than the file holds reserves no memory."""
    with _reading(path, 'label file'):
        with open(path, 'rb') as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0
            if version != (1, 0):
                read = np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            held = path.stat().st_size - file.tell()
        count = int(np.prod([int(side) for side in shape], dtype=object))
        if not dtype.hasobject and (count < 0 or count * dtype.itemsize != held):
            raise ValueError(f'shape {shape} of {dtype} needs other than the {held} bytes there')
        if count > LARGEST:
            raise MemoryError
        return np.load(path, allow_pickle=False)
