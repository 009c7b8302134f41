"""Fetch a file over HTTP: resumed where it broke off, whole or not there."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from headstart.core.errors import DataError
from headstart.core.progress import progress

_BLOCK = 1 << 20


def download(url: str, path: Path | str, sha256: str | None = None, timeout: float = 30.0) -> Path:
    """Download ``url`` to ``path`` unless it is there already.

    What has arrived is kept beside it as ``.partial``, and a later call goes on from there.

    Args:
        url: what to fetch.
        path: where to put it.
        sha256: digest that the file must have, where it is known.
        timeout: seconds without an answer after which to give up.

    Raises:
        DataError: the address cannot be reached, the connection broke off, or the digest is another.
    """
    path = Path(path)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        _fetch(url, partial, timeout)
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataError(
            f"cannot download {url}: {reason}; try again where the network reaches it (what has arrived is kept), "
            "or fetch the file by other means and give its path"
        ) from error
    if sha256 is not None:
        found = _digest(partial)
        if found != sha256:
            partial.unlink()
            raise DataError(f"{url} has digest {found}, expected {sha256}; the file was damaged or has been replaced")
    os.replace(partial, path)
    return path


def _fetch(url: str, partial: Path, timeout: float) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:  # nothing is left to send
            return
        raise
    with answer:
        if answer.status != 206:
            have = 0
        left = int(answer.headers["Content-Length"]) if "Content-Length" in answer.headers else None
        total = None if left is None else have + left
        with (
            partial.open("ab" if have else "wb") as file,
            progress(f"download {url.rsplit('/', 1)[-1]}", (total or 0) / 1e6) as bar,
        ):
            while block := answer.read(_BLOCK):
                file.write(block)
                have += len(block)
                bar.update(have / 1e6, "MB")
        if total is not None and have < total:
            raise ConnectionError(f"the connection broke off after {have:,} of {total:,} bytes")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
