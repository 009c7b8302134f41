"""Files that are either whole or not there."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headstart.core.errors import StorageError

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


def write_atomically(path: Path | str, content: bytes) -> None:
    """Write ``content`` to ``path`` so that a kill at any moment leaves the old file or the new one, never half.

    Raises:
        StorageError: the disk is full; nothing is left behind.
        OSError: the folder is not writable.
    """
    path = Path(path)
    with writing(path, len(content)):
        _write_and_replace(path, content)


def _write_and_replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically. Not-a-number and infinity are refused."""
    write_atomically(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: Path | str) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text())


def cache_folder() -> Path:
    """Where built and downloaded things are kept: ``$HEADSTART_CACHE`` or ``~/.cache/headstart``."""
    root = os.environ.get("HEADSTART_CACHE")
    return Path(root) if root else Path.home() / ".cache" / "headstart"
