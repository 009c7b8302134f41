"""Minari datasets: read from a folder, the local store or the server; written so that Minari reads them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from headstart.core.errors import DataError, UsageError
from headstart.core.specs import Box, Discrete, Spec
from headstart.core.storage import require_room
from headstart.data.experience import Experience
from headstart.data.importing import import_columns

DATASET_ID = re.compile(r"(?:[\w-]+/)*[\w-]+-v\d+")
"""What a Minari id looks like: namespaces, a name and a version, as in "D4RL/door/human-v2"."""
_EPISODE_FRAME = 1 << 14
"""Bytes that an episode takes in Minari's HDF5 file beside its numbers, and more."""


def is_minari_folder(path: Path | str) -> bool:
    """Whether a folder holds a Minari dataset (or its ``data`` folder does)."""
    return _data_folder(Path(path)) is not None


def read_minari(source: Path | str, download: bool = True) -> Experience:
    """Read a Minari dataset.

    Observations of dictionaries or tuples are flattened as ``gymnasium.wrappers.FlattenObservation`` does, so that
    a policy acts in the world under that wrapper; parts that are text are left out.

    Args:
        source: its folder, or its id, which is looked for in Minari's local store and then on its server.
        download: whether to fetch an id that is not there.

    Raises:
        UsageError: Minari is not installed.
        DataError: the dataset is not there and cannot be fetched, is damaged, or its spaces cannot be used.
    """
    minari = _minari()
    folder = _data_folder(Path(source))
    try:
        if folder is not None:
            dataset = minari.MinariDataset(folder)
        else:
            dataset = minari.load_dataset(str(source), download=download)
    except Exception as error:  # whatever its storage, its server or the network raise
        raise DataError(
            f"cannot open Minari dataset {source}: {error}; fetch it where the network allows "
            f"(minari download {source}), or give a folder that holds it"
        ) from error
    observation_space, notes = dataset.observation_space, []
    text = [name for name, part in _parts(observation_space) if isinstance(part, gymnasium.spaces.Text)]
    if text:
        notes.append(f"parts of the observations are text and left out: {', '.join(text)}")
    if not isinstance(observation_space, gymnasium.spaces.Box):
        kept = [name for name, part in _parts(observation_space) if not isinstance(part, gymnasium.spaces.Text)]
        notes.append(f"observations flattened, in this order: {', '.join(kept)}")
    spec = Spec.from_spaces(_flat_space(observation_space), dataset.action_space)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in ("observations", "actions", "rewards")}
    parts |= {name: [] for name in ("next_observations", "terminations", "truncations")}
    empty = 0
    try:
        for episode in dataset.iterate_episodes():
            length = len(episode.rewards)
            observations = _flatten(observation_space, episode.observations)
            if len(observations) != length + 1:
                raise DataError(
                    f"episode {episode.id} of {source} has {length} rewards and {len(observations)} observations; "
                    f"expected {length + 1}"
                )
            if length == 0:
                empty += 1
                continue
            parts["observations"].append(observations[:-1])
            parts["next_observations"].append(observations[1:])
            for name in ("actions", "rewards", "terminations", "truncations"):
                parts[name].append(np.asarray(getattr(episode, name)))
    except (OSError, KeyError, RuntimeError, AssertionError) as error:
        raise DataError(f"Minari dataset {source} is truncated or damaged ({error}); fetch it again") from error
    if empty:
        notes.append(f"{empty} episodes without a step are left out")
    if not parts["rewards"]:
        raise DataError(f"Minari dataset {source} has no transitions")
    columns = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    facts = {"source": dataset.id, "format": "minari", "minari_version": str(dataset.minari_version)}
    if dataset.env_spec is not None:
        facts["world"] = dataset.env_spec.id
    return import_columns(columns, spec, facts, notes)


def write_minari(experience: Experience, target: Path | str) -> None:
    """Write a Minari dataset.

    Args:
        experience: what to write; unfinished episodes are marked as truncated.
        target: an id such as "mine/hopper-v0" for Minari's local store, or, given as a ``Path``, a folder.

    Raises:
        UsageError: Minari is not installed, the target exists already, or the id is malformed.
        StorageError: the disk has no room for it.
    """
    minari = _minari()
    from minari.storage.datasets_root_dir import get_dataset_path

    if isinstance(target, Path):
        folder, dataset_id = target, re.sub(r"[^\w-]", "-", target.name)
        dataset_id = dataset_id if re.search(r"-v\d+$", dataset_id) else f"{dataset_id}-v0"
    else:
        if not DATASET_ID.fullmatch(target):
            raise UsageError(f"{target!r} is no Minari id; expected one like namespace/name-v0")
        folder, dataset_id = get_dataset_path(target), target
    if folder.exists():
        raise UsageError(f"{folder} exists already; remove it or choose another name")
    world = experience.metadata.get("world")
    env_spec = gymnasium.registry.get(world) if isinstance(world, str) else None
    images = experience.observations.dtype == np.uint8
    data = folder / "data"
    # HDF5 crashes the interpreter when it closes a file on a disk that has become full.
    columns = sum(column.nbytes for column in experience.columns.values())
    require_room(folder, columns + (len(experience.episodes()) + 1) * _EPISODE_FRAME)
    data.mkdir(parents=True)
    try:
        storage = minari.dataset.minari_storage.MinariStorage.new(
            data,
            observation_space=_space(experience.spec.observation, experience.observations.dtype),
            action_space=_space(experience.spec.action),
            env_spec=env_spec,
            **({"jpeg_encoding": False} if images else {}),
        )
        storage.update_metadata({"dataset_id": dataset_id, "minari_version": minari.__version__})
        storage.update_episodes(_episode_buffers(experience))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _minari() -> Any:
    try:
        import minari
        import minari.dataset.minari_storage
    except ImportError as error:
        raise UsageError("reading and writing Minari datasets needs it: pip install 'headstart[minari]'") from error
    return minari


def _data_folder(path: Path) -> Path | None:
    for folder in (path, path / "data"):
        if (folder / "metadata.json").is_file() and '"data_format"' in (folder / "metadata.json").read_text():
            return folder
    return None


def _episode_buffers(experience: Experience) -> Iterator[Any]:
    from minari.data_collector import EpisodeBuffer

    episodes = experience.episodes()
    for number in range(len(episodes)):
        rows = episodes.rows(number)
        last = experience.take("next_observations", rows[-1:])
        ended = experience.take("terminations", rows)
        cut = experience.take("truncations", rows)
        cut[-1] |= not ended[-1]
        columns: dict[str, Any] = {
            "observations": np.concatenate([experience.take("observations", rows), last]),
            "actions": experience.take("actions", rows),
            "rewards": experience.take("rewards", rows),
            "terminations": ended,
            "truncations": cut,
        }
        yield EpisodeBuffer(id=number, **columns)


def _space(part: Box | Discrete, dtype: Any = np.float32) -> gymnasium.Space:
    if isinstance(part, Discrete):
        return gymnasium.spaces.Discrete(part.n)
    low, high = (np.asarray(bounds).reshape(part.shape).astype(dtype) for bounds in (part.low, part.high))
    return gymnasium.spaces.Box(low, high, part.shape, dtype)


def _parts(space: gymnasium.Space, name: str = "observation") -> Iterator[tuple[str, gymnasium.Space]]:
    """The leaves of a space in the order in which Gymnasium flattens them."""
    if isinstance(space, gymnasium.spaces.Dict):
        for key, part in space.spaces.items():
            yield from _parts(part, key)
    elif isinstance(space, gymnasium.spaces.Tuple):
        for number, part in enumerate(space.spaces):
            yield from _parts(part, f"{name}.{number}")
    else:
        yield name, space


def _flat_space(space: gymnasium.Space) -> gymnasium.Space:
    if isinstance(space, gymnasium.spaces.Box):
        return space
    if isinstance(space, gymnasium.spaces.Dict):
        kept = {key: part for key, part in space.spaces.items() if not isinstance(part, gymnasium.spaces.Text)}
        space = gymnasium.spaces.Dict(kept)
    try:
        flat = gymnasium.spaces.flatten_space(space)
    except NotImplementedError as error:
        raise DataError(f"observations of {space} cannot be flattened") from error
    if not isinstance(flat, gymnasium.spaces.Box):
        raise DataError(f"observations of {space} cannot be flattened into a fixed number of numbers")
    return flat


def _flatten(space: gymnasium.Space, values: Any) -> np.ndarray:
    """All steps of an episode at once, each flattened as ``gymnasium.spaces.flatten`` does."""
    if isinstance(space, gymnasium.spaces.Box):
        return np.asarray(values)
    flat = [_flatten_leaf(part, leaf) for part, leaf in _leaves(space, values)]
    return np.concatenate(flat, axis=1, dtype=np.float32)


def _leaves(space: gymnasium.Space, values: Any) -> Iterator[tuple[gymnasium.Space, Any]]:
    if isinstance(space, gymnasium.spaces.Dict):
        for key, part in space.spaces.items():
            yield from _leaves(part, values[key])
    elif isinstance(space, gymnasium.spaces.Tuple):
        for part, value in zip(space.spaces, values, strict=True):
            yield from _leaves(part, value)
    elif not isinstance(space, gymnasium.spaces.Text):
        yield space, values


def _flatten_leaf(space: gymnasium.Space, values: Any) -> np.ndarray:
    values = np.asarray(values)
    if isinstance(space, gymnasium.spaces.Discrete):
        return np.eye(int(space.n), dtype=np.float32)[values.reshape(-1) - int(space.start)]
    if isinstance(space, gymnasium.spaces.Box | gymnasium.spaces.MultiBinary):
        return values.reshape(len(values), -1)
    return np.stack([np.asarray(gymnasium.spaces.flatten(space, value)) for value in values])
