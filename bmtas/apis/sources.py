"""Images, folders, patterns and videos that a user names on the command line."""

from __future__ import annotations

import errno
import glob
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

IMAGES = frozenset(Image.registered_extensions()) - {'.pdf', '.mpg', '.mpeg'}
VIDEOS = frozenset({'.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg'})


@dataclass(frozen=True)
class Source:
    """A file to predict.

    Args:
        path: Image or video.
        name: What its results are called, with the folders below the one that was named.
    """

    path: Path
    name: str

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEOS


def find_sources(arguments: Iterable[str | Path]) -> list[Source]:
    """Files that are named: themselves, in folders and below, or by patterns like ``a/*.jpg``.

    Raises:
        FileNotFoundError: No such file or folder, nothing matches, or a folder without images.
        ValueError: No argument, or two files of one name.
    """
    found: dict[Path, Source] = {}
    for argument in map(str, arguments):
        path = Path(argument)
        if not path.exists() and glob.has_magic(argument):
            matching = sorted(glob.glob(argument, recursive=True))
            if not matching:
                raise FileNotFoundError(f'{argument}: nothing matches this pattern')
            sources = [s for match in matching for s in _below(Path(match))]
        else:
            sources = _below(path)
        for source in sources:
            found.setdefault(source.path.resolve(), source)
    if not found:
        raise ValueError('no images: name at least one file, folder or pattern')
    names: dict[str, Path] = {}
    for source in found.values():
        if source.name in names:
            raise ValueError(
                f'{names[source.name]} and {source.path}: two images are named {source.name}; '
                'their results would have one name'
            )
        names[source.name] = source.path
    return list(found.values())


def _below(path: Path) -> list[Source]:
    if not path.is_dir():
        if not path.is_file():
            raise FileNotFoundError(f'image {path} does not exist')
        return [Source(path, path.stem)]
    files = [p for p in sorted(path.rglob('*')) if p.suffix.lower() in IMAGES | VIDEOS]
    if not files:
        raise FileNotFoundError(f'{path}: no image or video in this folder')
    return [Source(p, p.relative_to(path).with_suffix('').as_posix()) for p in files]


@dataclass(frozen=True)
class Video:
    """An opened video: frames per second as it says, and number of frames (0 if it does not)."""

    path: Path
    fps: float
    length: int

    @classmethod
    def of(cls, path: Path) -> Video:
        """Look into a file.

        Raises:
            ValueError: It cannot be read.
        """
        capture = cv2.VideoCapture(str(path))
        try:
            if not capture.isOpened():
                raise ValueError(f'video {path} cannot be read')
            fps = capture.get(cv2.CAP_PROP_FPS)
            length = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        finally:
            capture.release()
        return cls(path, fps if 0 < fps < 1000 else 25.0, max(length, 0))

    def frames(self) -> Iterator[np.ndarray]:
        """(H, W, 3) uint8 RGB, one after the other."""
        capture = cv2.VideoCapture(str(self.path))
        try:
            while True:
                good, frame = capture.read()
                if not good:
                    return
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        finally:
            capture.release()


def even(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) without a last row or column that would make a side odd: codecs want even ones."""
    height, width = pixels.shape[:2]
    return pixels[: height - height % 2 or 1, : width - width % 2 or 1]


class VideoFile:
    """Writes frames to an MP4 file.

    Args:
        path: The file; its frames have the size of the first.
        fps: Frames per second when it is shown.

    Raises:
        ValueError: No codec for it.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path, self.fps = path, fps
        self._writer: cv2.VideoWriter | None = None
        self._size: Sequence[int] = ()
        self._count = 0

    def write(self, pixels: np.ndarray) -> None:
        """Add a frame (H, W, 3) uint8 RGB."""
        pixels = even(pixels)
        if self._writer is None:
            self._size = pixels.shape[1::-1]
            code = cv2.VideoWriter_fourcc(*'mp4v')
            self._writer = cv2.VideoWriter(str(self.path), code, self.fps, self._size)
            if not self._writer.isOpened():
                raise ValueError(f'video {self.path} cannot be written: no codec for MP4 here')
        if pixels.shape[1::-1] != self._size:
            pixels = cv2.resize(pixels, self._size)
        self._writer.write(cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR))
        self._count += 1

    def close(self) -> None:
        """Finish the file.

        Raises:
            OSError: Frames are missing in it; OpenCV says nothing of a full disk.
        """
        if self._writer is not None:
            self._writer.release()
            found = int(cv2.VideoCapture(str(self.path)).get(cv2.CAP_PROP_FRAME_COUNT))
            if found != self._count:
                reason = f'{found} of {self._count} frames were written, the disk is full'
                raise OSError(errno.ENOSPC, reason)
