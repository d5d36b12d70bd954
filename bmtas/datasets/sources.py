"""Where published data sets are to be had."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A published data set.

    Args:
        folder: Name of the folder that the configs expect.
        urls: Addresses of its archives, in the order in which they are tried.
        by_hand: What to do when none of them answers.
        files: Suffix -> number of files in the unpacked archive, where it is known.
        config: Config for bmtas check.
    """

    folder: str
    urls: tuple[str, ...]
    by_hand: str
    config: str
    files: tuple[tuple[str, int], ...] = ()


_ETH = 'https://data.vision.ee.ethz.ch'
_MIRRORS = (
    'the README of github.com/prismformore/Multi-Task-Transformer links mirrors in the cloud '
    '(to be opened in a browser)'
)
_MTI = '14EAEMXmd3zs2hIMY63UhHPSFPDAkiTzw'

SOURCES = {
    'pascal': Source(
        folder='PASCAL_MT',
        urls=(
            f'{_ETH}/kmaninis/share/MTL/PASCAL_MT.tgz',
            f'{_ETH}/brdavid/atrc/PASCALContext.tar.gz',
        ),
        by_hand=f'{_MIRRORS}; the archive is called PASCALContext.tar.gz or PASCAL_MT.tgz',
        config='configs/_base_/datasets/pascal.py',
        files=(('.png', 33224), ('.jpg', 10103), ('.mat', 20206)),
    ),
    'nyud': Source(
        folder='NYUDv2',
        urls=(
            f'{_ETH}/brdavid/atrc/NYUDv2.tar.gz',
            f'{_ETH}/kmaninis/share/MTL/NYUD_MT.tgz',
        ),
        by_hand=f'{_MIRRORS}; the archive is called NYUDv2.tar.gz',
        config='configs/_base_/datasets/nyud.py',
    ),
    'nyud_mti': Source(
        folder='NYUD_MT',
        urls=(
            f'https://drive.usercontent.google.com/download?id={_MTI}&export=download&confirm=t',
        ),
        by_hand=f'open https://drive.google.com/file/d/{_MTI} in a browser, the archive is called '
        'NYUD_MT.tgz',
        config='configs/_base_/datasets/nyud_mti.py',
    ),
}
