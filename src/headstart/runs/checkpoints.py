"""A seed's checkpoints: folders named by progress, each whole or not there; the last few and the best are kept."""

from __future__ import annotations

import errno
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.core.errors import CheckpointError
from headstart.core.files import read_json, write_json

MANIFEST = "checkpoint.json"


@dataclass(frozen=True)
class Checkpoint:
    """One complete checkpoint.

    Attributes:
        folder: where its files are.
        progress: the counter it was saved under.
        score: how good the policy was (higher is better), or None when it was not measured.
        metadata: the JSON facts saved with it.
    """

    folder: Path
    progress: int
    score: float | None
    metadata: dict[str, Any]


class Checkpoints:
    """The checkpoints of one seed.

    Args:
        folder: where they are; created with the first one.
        keep: how many of the newest to keep, besides the best.
    """

    def __init__(self, folder: Path | str, keep: int = 2):
        if keep < 1:
            raise CheckpointError(f"keep={keep}: at least the newest checkpoint has to be kept")
        self.folder, self.keep = Path(folder), keep

    def save(
        self,
        progress: int,
        write: Callable[[Path], None],
        metadata: dict[str, Any] | None = None,
        score: float | None = None,
    ) -> Checkpoint:
        """Save a checkpoint, then drop those that are neither among the newest nor the best.

        Args:
            progress: a counter that only grows during the run.
            write: writes the checkpoint's files into the empty folder it is given.
            metadata: JSON-serialisable facts kept beside the files.
            score: how good the policy is (higher is better; one that is not finite counts as none); the best-scored
                checkpoint is never dropped.

        Raises:
            CheckpointError: the disk is full or not writable; the checkpoints before are still there.
        """
        partial = self.folder / f".{progress:012d}.partial"
        score = score if score is not None and math.isfinite(score) else None
        try:
            self._clear()
            partial.mkdir(parents=True)
            write(partial)
            files = {str(path.relative_to(partial)): path for path in sorted(partial.rglob("*")) if path.is_file()}
            for path in files.values():
                _synchronise(path)
            sizes = {name: path.stat().st_size for name, path in files.items()}
            manifest = {"progress": progress, "score": score, "metadata": metadata or {}, "files": sizes}
            write_json(partial / MANIFEST, manifest)
            final = self.folder / f"{progress:012d}"
            if final.exists():
                final.rename(self.folder / f".{progress:012d}.replaced")
            partial.rename(final)
            _synchronise(self.folder)
        except OSError as error:
            shutil.rmtree(partial, ignore_errors=True)
            latest = self.latest()
            left = f"the one at {latest.progress} is still there" if latest else "there is no earlier one"
            raise unwritable(f"checkpoint {progress} in {self.folder} ({left})", error) from error
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        self._clear()
        self._drop_old()
        return Checkpoint(final, progress, score, metadata or {})

    def all(self) -> list[Checkpoint]:
        """Every complete checkpoint, oldest first; damaged ones are left out."""
        folders = sorted(path for path in self.folder.glob("[0-9]*") if path.is_dir())
        return [checkpoint for folder in folders if (checkpoint := _read(folder)) is not None]

    def latest(self) -> Checkpoint | None:
        """The complete checkpoint with the most progress, or None."""
        return next(reversed(self.all()), None)

    def latest_progress(self) -> int | None:
        """The progress of the latest checkpoint, or None."""
        latest = self.latest()
        return None if latest is None else latest.progress

    def best(self) -> Checkpoint | None:
        """The complete checkpoint with the highest score (the newest of equals), or None when none is scored."""
        scored = [(checkpoint.score, checkpoint.progress, checkpoint) for checkpoint in self.all()]
        return max((entry for entry in scored if entry[0] is not None), default=(None, None, None))[2]

    def _clear(self) -> None:
        """Remove what a kill in the middle of saving left behind."""
        for path in [*self.folder.glob(".*.partial"), *self.folder.glob(".*.replaced")]:
            shutil.rmtree(path, ignore_errors=True)

    def _drop_old(self) -> None:
        best = self.best()
        for checkpoint in self.all()[: -self.keep]:
            if best is None or checkpoint.progress != best.progress:
                shutil.rmtree(checkpoint.folder, ignore_errors=True)


def unwritable(what: str, error: OSError) -> CheckpointError:
    """The error for a part of a run's record that could not be written.

    Args:
        what: the part and where it was to be.
        error: what the system said.
    """
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    reason = "the disk is full; make room" if full else f"{error}; make the folder writable"
    return CheckpointError(f"cannot write {what}: {reason}, then go on with `headstart resume`")


def _read(folder: Path) -> Checkpoint | None:
    try:
        manifest = read_json(folder / MANIFEST)
        whole = all((folder / name).stat().st_size == size for name, size in manifest["files"].items())
        checkpoint = Checkpoint(folder, manifest["progress"], manifest["score"], manifest["metadata"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return checkpoint if whole else None


def _synchronise(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
