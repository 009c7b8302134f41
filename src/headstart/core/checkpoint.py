"""Trees of arrays on disk as safetensors, with JSON metadata; written atomically, read back bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy

from headstart.core.errors import CheckpointError
from headstart.core.files import write_atomically


def _named_leaves(tree: Any) -> dict[str, Any]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def save_tree(path: Path | str, tree: Any, metadata: dict[str, Any] | None = None) -> None:
    """Save every array leaf of ``tree`` under its path in the tree.

    Args:
        path: the file to write (safetensors).
        tree: any pytree whose leaves are arrays, typed random keys or numbers.
        metadata: JSON-serialisable facts to keep beside the arrays.

    Raises:
        OSError: the file cannot be written; an older file of that name is left as it was.
    """
    arrays = {}
    for name, leaf in _named_leaves(tree).items():
        leaf = jax.random.key_data(leaf) if _is_key(leaf) else leaf
        arrays[name] = np.ascontiguousarray(np.asarray(leaf)).reshape(np.shape(leaf))
    write_atomically(path, safetensors.numpy.save(arrays, {"headstart": json.dumps(metadata or {})}))


def read_metadata(path: Path | str) -> dict[str, Any]:
    """The metadata that ``save_tree`` kept.

    Raises:
        CheckpointError: the file is missing or not a checkpoint.
    """
    try:
        with safetensors.safe_open(str(path), framework="numpy") as file:
            return json.loads((file.metadata() or {}).get("headstart", "{}"))
    except (OSError, safetensors.SafetensorError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path} is not a readable checkpoint: {error}") from error


def load_tree(path: Path | str, like: Any) -> Any:
    """Read a tree with the structure, shapes and dtypes of ``like``.

    Raises:
        CheckpointError: the file is damaged, or its arrays are not those of ``like``; the first mismatches are named.
    """
    try:
        arrays = safetensors.numpy.load_file(str(path))
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} is not a readable checkpoint: {error}") from error
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    problems, loaded = [], []
    for tree_path, leaf in leaves:
        name = jax.tree_util.keystr(tree_path)
        key = _is_key(leaf)
        wanted = jax.random.key_data(leaf) if key else leaf
        if name not in arrays:
            problems.append(f"{name} is missing")
            continue
        found = arrays.pop(name)
        if found.shape != np.shape(wanted) or found.dtype != np.asarray(wanted).dtype:
            problems.append(
                f"{name} is {found.dtype}{list(found.shape)}, expected "
                f"{np.asarray(wanted).dtype}{list(np.shape(wanted))}"
            )
            continue
        if isinstance(leaf, jax.Array):
            array = jax.numpy.asarray(found)
            loaded.append(jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf)) if key else array)
        else:
            loaded.append(found)
    problems += [f"{name} is not expected" for name in arrays]
    if problems:
        more = f" and {len(problems) - 4} more" if len(problems) > 4 else ""
        raise CheckpointError(f"{path} does not fit: {'; '.join(problems[:4])}{more}")
    return jax.tree_util.tree_unflatten(structure, loaded)


def save_arrays(path: Path | str, arrays: dict[str, np.ndarray]) -> None:
    """Save named arrays of any shapes, atomically."""
    solid = {name: np.ascontiguousarray(array).reshape(np.shape(array)) for name, array in arrays.items()}
    write_atomically(path, safetensors.numpy.save(solid))


def load_arrays(path: Path | str) -> dict[str, np.ndarray]:
    """The arrays that ``save_arrays`` wrote.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    try:
        return safetensors.numpy.load_file(str(path))
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} is not a readable checkpoint: {error}") from error
