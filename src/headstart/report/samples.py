"""What a run showed of its behaviour: pictures, texts and lines of JSON in ``seed-<k>/samples/``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headstart.runs.folder import SeedFolder

IMAGES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}
TEXTS = (".txt", ".md")
NEWEST, LINES, CHARACTERS = 6, 5, 4000


def find_samples(folder: SeedFolder) -> list[dict[str, Any]]:
    """The newest samples of a seed, newest first.

    Returns:
        for each ``seed``, ``name``, ``written`` (seconds since 1970) and one of ``image`` (True; see ``read_image``),
        ``text``, or ``rows``: the last lines of a ``.jsonl`` file.
    """
    files = sorted(_files(folder), key=lambda path: path.stat().st_mtime, reverse=True)
    return [
        {"seed": folder.seed, "name": path.name, "written": path.stat().st_mtime} | _content(path)
        for path in files[:NEWEST]
    ]


def read_image(folder: SeedFolder, name: str) -> tuple[bytes, str] | None:
    """A picture among the samples of a seed, and its media type; None if there is none of this name."""
    for path in _files(folder):
        if path.name == name and path.suffix in IMAGES:
            return path.read_bytes(), IMAGES[path.suffix]
    return None


def _files(folder: SeedFolder) -> list[Path]:
    known = {*IMAGES, *TEXTS, ".jsonl"}
    found = (folder.path / "samples").glob("[!.]*")
    return [path for path in found if path.suffix in known and path.is_file() and not path.is_symlink()]


def _content(path: Path) -> dict[str, Any]:
    if path.suffix in IMAGES:
        return {"image": True}
    text = path.read_text(errors="replace")
    if path.suffix in TEXTS:
        return {"text": text[-CHARACTERS:]}
    return {"rows": [row for line in text.splitlines()[-LINES:] if isinstance(row := _row(line), dict)]}


def _row(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None  # the last line, half written
