"""The frame of every page that is written to a file: it needs nothing else, not even a network."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

# The page can load nothing from anywhere: what it shows is in it.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"

_MARK = '<meta name="generator" content="headstart">'


def is_own_page(path: Path) -> bool:
    """Whether a file is a page that ``document`` made, and so can be made again.

    Raises:
        OSError: the file cannot be read.
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return _MARK.encode() in file.read(1024)


def document(title: str, body: str, data: Any, script: str) -> str:
    """An HTML document with this room's style and Plotly in it.

    Args:
        title: the document's title, as plain text.
        body: HTML.
        data: plain JSON values, for the script as the text of the element ``page-data``.
        script: name of a file of this room that draws them.
    """
    from plotly.offline import get_plotlyjs

    assets = Path(__file__).parent
    # "<" never appears in the embedded JSON, so no text in it can end the script element.
    embedded = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
{_MARK}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<style>
{(assets / "page.css").read_text()}
</style>
</head>
<body>
{body}
<script type="application/json" id="page-data">{embedded}</script>
<script>
{get_plotlyjs()}
</script>
<script>
{(assets / script).read_text()}
</script>
</body>
</html>
"""
