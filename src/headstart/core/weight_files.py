"""Files of a model's folder, looked at before they are loaded: whole, and of the sizes that the model has."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import safetensors

from headstart.core.errors import CheckpointError, UsageError

POINTER = b"version https://git-lfs"
"""How the file begins that git keeps in place of a large one."""


def require_weights(folder: Path) -> None:
    """Refuse a folder without weights, or with files that are not whole; the headers alone are read.

    Raises:
        CheckpointError: it has no weights in safetensors.
        UsageError: a file is damaged, or a pointer of git-lfs.
    """
    patterns = ("*.safetensors", "*.safetensors.index.json")
    if not any(path for pattern in patterns for path in folder.glob(pattern)):
        held = ", ".join(sorted(path.name for path in folder.iterdir())[:6]) or "nothing"
        raise CheckpointError(f"{folder} has no weights (model.safetensors); it holds {held}")
    require_whole(path for path in sorted(folder.iterdir()) if path.suffix in (".safetensors", ".json", ".model"))


def require_whole(paths: Iterable[Path]) -> None:
    """Refuse pointers of git-lfs, and safetensors that are damaged.

    Raises:
        UsageError: the first such file is named.
    """
    for path in paths:
        with path.open("rb") as file:
            beginning = file.read(len(POINTER))
        if beginning == POINTER:
            raise UsageError(f"{path} is only a git-lfs pointer to the file: run `git lfs pull` where it was cloned")
        if path.suffix == ".safetensors":
            try:
                with safetensors.safe_open(str(path), framework="pt"):
                    pass
            except safetensors.SafetensorError as error:
                raise UsageError(
                    f"{path} is damaged or was cut short, at {path.stat().st_size:,} bytes ({error}): copy or download"
                    " it again"
                ) from error


def require_sizes(source: str | Path, model: Any, found: dict[str, Any]) -> None:
    """Refuse a checkpoint whose tensors are of other sizes than its configuration says.

    Args:
        source: where it is, for the message.
        model: what was made of it.
        found: transformers' ``loading_info``.

    Raises:
        UsageError: the first such tensor is named with both shapes.
    """
    other = sorted(found["mismatched_keys"])
    if other:
        name, held, expected = other[0]
        raise UsageError(
            f"the weights in {source} do not fit its config.json: {name} has shape {list(held)} and the"
            f" {type(model).__name__} described there expects {list(expected)} ({len(other)} tensors differ); put the"
            " weights and the config.json of one model together"
        )
