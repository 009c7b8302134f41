"""Full disks: told by the name of what was written, and foreseen where a writer would crash."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headstart.core.errors import HeadstartError


class StorageError(HeadstartError, OSError):
    """A file that did not fit on its disk; ``errno`` is what the system said."""


_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota of disk space is used up",
    errno.EFBIG: "files may not be that large here",
}


def full_disk(error: OSError, path: Path | str, needed: int | None = None) -> StorageError | None:
    """What to say of a file that did not fit on its disk; None if the error is about something else.

    Args:
        error: what the system said.
        path: what was to be written, by the name its user knows.
        needed: bytes it takes, where that is known.
    """
    if error.errno not in _FULL:
        return None
    size = "" if needed is None else f" (about {_size(needed)} needed)"
    told = StorageError(f"cannot write {path}: {_FULL[error.errno]}{size}; make room, or choose another place")
    told.errno = error.errno
    return told


@contextmanager
def writing(path: Path | str, needed: int | None = None) -> Iterator[None]:
    """Where something is written: turns the system's word of a full disk into one that names ``path``.

    Args:
        path: what is written, by the name its user knows.
        needed: bytes it takes, where that is known.

    Raises:
        StorageError: the disk is full; other errors stay what they are.
    """
    try:
        yield
    except OSError as error:
        told = full_disk(error, path, needed)
        if told is None:
            raise
        raise told from error


def require_room(path: Path | str, needed: int) -> None:
    """Refuse before anything is written, for writers that a full disk would crash.

    Args:
        path: what is to be written; folders on the way to it need not be there.
        needed: bytes it takes at most.

    Raises:
        StorageError: its disk has less room.
    """
    there = next(folder for folder in Path(path).absolute().parents if folder.is_dir())
    free = shutil.disk_usage(there).free
    if needed > free:
        told = StorageError(
            f"cannot write {path}: the disk is full (up to {_size(needed)} needed, {_size(free)} free); "
            "make room, or choose another place"
        )
        told.errno = errno.ENOSPC
        raise told


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count / 1e3:,.1f} kB"
