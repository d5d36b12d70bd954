"""Reading split lists, images and arrays, with errors that name the file and what to do."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')


def read_split(path: Path) -> list[str]:
    """The ids of a split file, one a line; blank lines and Windows line ends are harmless.

    Raises:
        FileNotFoundError: No such file; the message lists the splits that there are.
        ValueError: The list is empty or an id occurs twice.
    """
    if not path.is_file():
        found = sorted(p.stem for p in path.parent.glob('*.txt')) if path.parent.is_dir() else []
        there = f'there are {", ".join(found)}' if found else 'the folder holds no split files'
        raise FileNotFoundError(f'{path}: split file not found ({there})')
    ids = [line.strip() for line in path.read_text(encoding='utf-8-sig').splitlines()]
    ids = [name for name in ids if name]
    if not ids:
        raise ValueError(f'{path}: the split is empty, it must list one image id a line')
    repeated = [name for name, count in Counter(ids).items() if count > 1]
    if repeated:
        shown = ', '.join(repeated[:3]) + (', ...' if len(repeated) > 3 else '')
        raise ValueError(f'{path}: {len(repeated)} ids are listed more than once: {shown}')
    return ids


def _unreadable(path: Path, error: Exception) -> ValueError:
    reason = str(error).strip().splitlines()
    return ValueError(
        f'{path}: cannot be read, the file is damaged or of another format '
        f'({reason[0] if reason else type(error).__name__}); fetch or write it again'
    )


def read_image(path: Path) -> np.ndarray:
    """An RGB image (H, W, 3), uint8.

    Raises:
        FileNotFoundError, ValueError: Missing or damaged file.
    """
    try:
        with Image.open(path) as img:
            return np.asarray(img if img.mode == 'RGB' else img.convert('RGB'))
    except FileNotFoundError:
        raise FileNotFoundError(f'{path}: image not found') from None
    except (OSError, ValueError, SyntaxError) as error:
        raise _unreadable(path, error) from None


def read_mat(path: Path, key: str) -> np.ndarray:
    """Variable ``key`` of a MATLAB file, as ``scipy.io.loadmat`` returns it.

    Raises:
        FileNotFoundError, ValueError: Missing or damaged file, or no such variable.
    """
    from scipy.io import loadmat

    if not path.exists():  # scipy's own error does not say so
        raise FileNotFoundError(f'{path}: label file not found')
    try:
        content = loadmat(path)
    except NotImplementedError:
        raise ValueError(f'{path}: MATLAB 7.3 files are not read, save it with -v7') from None
    except Exception as error:  # scipy's reader fails in many ways on a cut file
        raise _unreadable(path, error) from None
    if key not in content:
        names = [name for name in content if not name.startswith('__')]
        raise ValueError(f'{path}: no variable {key!r}, the file has {names}')
    return content[key]


def read_array(path: Path, key: str | None = None) -> np.ndarray:
    """An array from an image file (palette indices stay indices), ``.npy``, or ``.mat``.

    Args:
        path: The file; its suffix says the format.
        key: Variable to take from a ``.mat`` file.

    Raises:
        FileNotFoundError, ValueError: Missing or damaged file, unknown suffix, or content that
            is no array of numbers (an empty one, text, a MATLAB structure).
    """
    array = _read_any(path, key)
    if array.dtype.kind not in 'buif' or not array.size:
        what = f'{array.dtype.name} of shape {array.shape}'
        raise ValueError(f'{path}: holds no map of numbers ({what}); fetch or write it again')
    return array


def _read_any(path: Path, key: str | None) -> np.ndarray:
    suffix = path.suffix.lower()
    if suffix == '.mat':
        return read_mat(path, key or path.parent.name)
    try:
        if suffix in IMAGE_SUFFIXES:
            with Image.open(path) as img:
                return np.asarray(img)
        if suffix == '.npy':
            return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise FileNotFoundError(f'{path}: label file not found') from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise _unreadable(path, error) from None
    raise ValueError(
        f'{path}: unknown suffix {suffix!r}, known: {", ".join(IMAGE_SUFFIXES)}, .npy, .mat'
    )
