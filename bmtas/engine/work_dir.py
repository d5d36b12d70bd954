"""A work dir belongs to one run: what the run is, who is writing there, whether it may go on."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import broadcast_object_list, is_main_process

from bmtas.engine.checkpoint import checkpoint_files
from bmtas.engine.identity import first_difference, identity_of, other_images, pack
from bmtas.files import make_folder, meant_as, read_json, remove_leftovers, write_json
from bmtas.folder_lock import LOCK, FolderLock

RUN = 'run.json'
VERSION = 3
# what a run leaves before it has done anything: its files, and mmengine's folder of each start
_BEFORE_THE_FIRST_UPDATE = re.compile(
    rf'{re.escape(RUN)}|{re.escape(LOCK)}|resources\.json|commands\.jsonl|.*\.py|\d{{8}}_\d{{6}}'
)


class WorkDir:
    """The claim of a run to its folder, from ``claim`` until ``release``.

    Attributes:
        folder: The folder.
        run: Name of the run, stands in its checkpoints; '' on all but the main process.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.run = ''
        self._lock: FolderLock | None = None

    def claim(
        self,
        cfg: Mapping[str, Any],
        resume: bool = False,
        overwrite: bool = False,
        images: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Take the folder for the run of a config; all processes of a run call it.

        What is left of files that a killed process was writing is removed.

        Args:
            cfg: The complete config.
            resume: Go on with the run that is there, if there is one.
            overwrite: Give up the run that is there: its checkpoints are deleted.
            images: Names of the images of each data set on disk, in order: a position in the data
                is what a sample follows from.

        Raises:
            ValueError: Another process is writing there; or the folder holds another run, or this
                one and nothing was said of going on with it.
        """
        message: list[str | None] = [None]
        if is_main_process():
            try:
                self._claim(cfg, resume, overwrite, images or {})
            except (ValueError, OSError) as error:
                self.release()
                message = [str(error)]
        broadcast_object_list(message)  # else the other processes would wait for ever
        if message[0] is not None:
            raise ValueError(message[0])

    def _claim(
        self,
        cfg: Mapping[str, Any],
        resume: bool,
        overwrite: bool,
        images: Mapping[str, Sequence[str]],
    ) -> None:
        make_folder(self.folder)
        self._lock = FolderLock(self.folder)
        remove_leftovers(self.folder)
        path = self.folder / RUN
        own = dict(
            identity=identity_of(cfg), images={key: pack(names) for key, names in images.items()}
        )
        if overwrite:
            for file in checkpoint_files(self.folder):
                file.unlink()
        elif path.is_file():
            found = _read(path)
            if _holds_work(self.folder):
                self._compare(found, own, resume)
                if resume:
                    return
        elif checkpoint_files(self.folder):
            raise ValueError(
                f'{self.folder}: holds checkpoints of a run without {RUN}; choose another '
                '--work-dir, or --overwrite deletes them'
            )
        self.run = secrets.token_hex(8)
        write_json(path, dict(version=VERSION, run=self.run, **own))

    def _compare(self, found: Mapping[str, Any], own: Mapping[str, Any], resume: bool) -> None:
        before, now = found['identity'], own['identity']
        if found['version'] < VERSION:  # an earlier bmtas wrote down less
            now = {key: value for key, value in now.items() if key in before}
        what, difference = 'of another config', first_difference(before, now)
        if not difference and found['version'] > 1:
            with meant_as('identity of the run', self.folder / RUN):
                what, difference = 'on other images', other_images(found['images'], own['images'])
        if difference:
            raise ValueError(
                f'{self.folder} belongs to a run {what} ({RUN}: {difference}); choose another '
                '--work-dir, or --overwrite deletes that run'
            )
        files = checkpoint_files(self.folder)
        if files and not resume:
            raise ValueError(
                f'{self.folder}: holds {len(files)} checkpoints of this run; --resume goes on with '
                'it, --overwrite deletes it, another --work-dir keeps it'
            )
        self.run = found['run']

    def release(self) -> None:
        """Give the folder back."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _holds_work(folder: Path) -> bool:
    """Whether a run came so far that it left more than its identity, config, costs and logs."""
    return any(not _BEFORE_THE_FIRST_UPDATE.fullmatch(entry.name) for entry in folder.iterdir())


def _read(path: Path) -> Mapping[str, Any]:
    content = read_json(path, 'identity of the run')
    hints = dict(identity=dict, run=str, images=dict, version=int)
    found = content if isinstance(content, dict) else {}
    if found.get('version') == 1:  # does not know the images yet
        del hints['images']
    if wrong := [key for key, hint in hints.items() if type(found.get(key)) is not hint]:
        raise ValueError(f'{path}: {wrong[0]}: is not what a run writes; --overwrite starts anew')
    if not 1 <= found['version'] <= VERSION:
        raise ValueError(f'{path}: version {found["version"]} is of another bmtas')
    return content
