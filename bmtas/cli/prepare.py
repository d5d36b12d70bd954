"""Download and unpack PASCAL-Context or NYUD-v2."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from bmtas.cli.base import ToolParser

RESUME = 'start again to go on'


def parse_args(argv: Sequence[str] | None) -> object:
    """Parse the command line."""
    parser = ToolParser(
        'prepare',
        description='Download a published data set, verify and unpack it; nyud_mti is the 480x640 '
        'version of MTI-Net. An interrupted download '
        'goes on where it stopped when the tool is started again.',
    )
    parser.add_argument('name', choices=('pascal', 'nyud', 'nyud_mti'), help='the data set')
    parser.add_argument(
        '--data-root',
        metavar='DIR',
        help='folder to make; default: as in the configs',
    )
    parser.add_argument('--archive', metavar='FILE', help='unpack this file, download nothing')
    parser.add_argument('--url', metavar='URL', help='fetch the archive from here instead')
    parser.add_argument('--sha256', metavar='HEX', help='checksum that the archive must have')
    parser.add_argument('--keep-archive', action='store_true', help='keep it after unpacking')
    return parser.parse_args(argv)


def download(urls: Sequence[str], folder: Path, console) -> tuple[Path | None, list[str]]:
    """Try the addresses in turn; returns the archive, or None and the reasons."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from bmtas.datasets import fetch

    columns = (TextColumn('{task.description}'), BarColumn(), DownloadColumn())
    columns += (TransferSpeedColumn(), TimeRemainingColumn())
    reasons = []
    for url in urls:
        name = url.rsplit('/', 1)[-1].split('?')[0] or 'archive.tar.gz'
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(name, total=None)
            try:
                path = fetch(
                    url,
                    folder / name,
                    lambda done, total, task=task, bar=bar: bar.update(
                        task, completed=done, total=total
                    ),
                )
                return path, []
            except ConnectionError as error:
                reasons.append(str(error))
    return None, reasons


def obtain(args, source, target: Path, console) -> Path:
    """The archive: given, or downloaded beside the target."""
    if args.archive:
        path = Path(args.archive)
        if not path.is_file():
            raise FileNotFoundError(f'{path}: archive not found')
        return path
    path, reasons = download((args.url,) if args.url else source.urls, target.parent, console)
    if path is None:
        for reason in reasons:
            console.print(f'no answer: {reason}', markup=False, highlight=False)
        raise FileNotFoundError(
            f'none of the addresses of {args.name} works; by hand: {source.by_hand}; then run '
            f'bmtas prepare {args.name} --data-root {shlex.quote(str(target))} --archive FILE'
        )
    return path


def main(argv: Sequence[str] | None = None) -> None:
    """Run the tool."""
    args = parse_args(argv)
    from rich.console import Console

    from bmtas.datasets import SOURCES, count_files, file_sha256, unpack

    console = Console(soft_wrap=True)
    source = SOURCES[args.name]
    target = Path(args.data_root or Path('data') / source.folder)
    check = f'bmtas check {source.config} --data-root {shlex.quote(str(target))}'
    if target.is_dir() and any(target.iterdir()):
        raise ValueError(f'{target}: exists already; check it with {check}, or remove it')
    archive = obtain(args, source, target, console)
    checksum = file_sha256(archive)
    if args.sha256 and checksum != args.sha256.lower():
        raise ValueError(f'{archive}: SHA-256 is {checksum}, not {args.sha256}; fetch it again')
    console.print(f'{archive}: SHA-256 {checksum}', highlight=False)
    with console.status('unpacking') as status:
        unpack(archive, target, lambda name: status.update(f'unpacking {name}'))
    counts = count_files(target)
    wrong = [
        f'{counts.get(s, 0)} {s} files, not {n}' for s, n in source.files if counts.get(s) != n
    ]
    if wrong:
        console.print(f'{target}: the published archive differs: {"; ".join(wrong)}')
    if not args.archive and not args.keep_archive:
        archive.unlink()
    console.print(f'{target} is unpacked; next: {check}', markup=False, highlight=False)
    if wrong:
        raise SystemExit(1)
