"""Datasets by name or path, and conversion between the formats they come in."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headstart.core.errors import DataError, UsageError
from headstart.core.files import cache_folder
from headstart.core.registry import unknown
from headstart.core.storage import require_room, writing
from headstart.data.catalogue import BUILDABLE, CATALOGUE, find_entry
from headstart.data.experience import Experience
from headstart.data.folder import is_dataset_folder, read_record
from headstart.data.folder import load as load_folder

_HDF5, _PARQUET = (".hdf5", ".h5"), (".parquet", ".pq")
_MINARI = "minari:"
_HDF5_FRAME = 1 << 16
"""Bytes that an HDF5 file has beside its columns, and more."""


@dataclass(frozen=True)
class Dataset:
    """A dataset that has a name.

    Attributes:
        name: what to give to ``load``.
        source: "shipped" with the package, "built" into the cache, or "catalogue": not here yet.
        family: its D4RL family, or "" for those of our own worlds.
        megabytes: size on disk where it is here, else None.
        rows: number of transitions where it is here, else None.
        how: how to get it, or where it lies.
    """

    name: str
    source: str
    family: str
    megabytes: float | None
    rows: int | None
    how: str


def load(name_or_path: str | Path, memory_map: bool = True) -> Experience:
    """The dataset of a name or path.

    Names: what ships with the package or was built into the cache; D4RL's with version ("hopper-medium-v2",
    downloaded once); Minari's ("D4RL/door/human-v2", from its local store or server). Paths: a dataset folder of ours
    or Minari's, a D4RL HDF5 file, a Parquet file. Minari's may be written as for ``convert``: "minari:ID",
    "minari:./FOLDER".

    Args:
        name_or_path: see above.
        memory_map: leave the columns of our own folders on disk.

    Raises:
        UsageError: there is no such dataset; says how to get it, or which names are near.
        DataError: it cannot be fetched, or is damaged.
    """
    text, path = str(name_or_path), Path(name_or_path).expanduser()
    here = _here()
    if isinstance(name_or_path, str) and text.startswith(_MINARI):
        return _load_minari(text)
    if isinstance(name_or_path, str) and text in here:
        return load_folder(here[text], memory_map)
    if path.exists() or isinstance(name_or_path, Path):
        return _load_path(path, memory_map)
    entry = find_entry(text)
    if entry is not None and text in entry.files:
        from headstart.data.d4rl_format import fetch_d4rl, read_d4rl

        return read_d4rl(fetch_d4rl(text))
    if text in BUILDABLE or text in CATALOGUE:
        raise UsageError(f"dataset {text!r} is not here yet: {_how(text)}")
    if path.suffix in (*_HDF5, *_PARQUET) or text.startswith((".", "/", "~")):
        raise DataError(f"{text} does not exist")
    if "/" in text:
        from headstart.data.minari_format import DATASET_ID, read_minari

        if DATASET_ID.fullmatch(text):
            return read_minari(text)
        raise DataError(f"{text} is neither a path that exists nor a Minari id ([minari:]namespace/name-v0)")
    known = {*here, *BUILDABLE, *CATALOGUE, *(version for entry in CATALOGUE.values() for version in entry.files)}
    advice = "`headstart data list` shows all; a path to a file or folder will do too."
    raise unknown("dataset", text, known, advice)


def convert(source: str | Path, target: str | Path) -> None:
    """Write a dataset in another format.

    Args:
        source: name or path, as for ``load``.
        target: a path that ends in ``.hdf5`` or ``.h5`` (D4RL) or ``.parquet``; ``minari:ID`` for Minari's local store
            or ``minari:./FOLDER``; any other path for a dataset folder of ours.

    Raises:
        UsageError: the target exists already, or the source is unknown.
        DataError: the source is damaged.
        StorageError: the disk is full; nothing is left there.
    """
    text = str(target)
    path = Path(text.removeprefix(_MINARI)).expanduser()
    if path.exists():
        raise UsageError(f"{path} exists already; remove it or choose another place")
    plain = not text.startswith("minari:") and path.suffix not in (*_HDF5, *_PARQUET)
    if plain and str(source) not in _here() and Path(source).expanduser().suffix in _HDF5:
        from headstart.data.d4rl_format import open_d4rl
        from headstart.data.large_files import write_folder

        with open_d4rl(Path(source).expanduser()) as rows:
            write_folder(rows, path)
        return
    experience = load(source)
    columns = sum(column.nbytes for column in experience.columns.values())
    if text.startswith(_MINARI):
        from headstart.data.minari_format import write_minari

        write_minari(experience, _minari_place(text))
    elif path.suffix in _HDF5:
        from headstart.data.d4rl_format import write_d4rl

        # HDF5 crashes the interpreter when it closes a file on a disk that has become full.
        require_room(path, columns + _HDF5_FRAME)
        write_d4rl(experience, path)
    elif path.suffix in _PARQUET:
        from headstart.data.parquet_format import write_parquet

        with writing(path, columns):
            write_parquet(experience, path)
    else:
        experience.save(path)


def list_datasets() -> list[Dataset]:
    """Every dataset with a name: what is here first, then what can be built or fetched."""
    found = []
    for name, folder in _here().items():
        size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
        source = "built" if folder.is_relative_to(cache_folder()) else "shipped"
        found.append(Dataset(name, source, _family(name), size, read_record(folder)["rows"], str(folder)))
    here = {dataset.name for dataset in found}
    for name in (*BUILDABLE, *(name for name in CATALOGUE if name not in BUILDABLE)):
        if name not in here:
            found.append(Dataset(name, "catalogue", _family(name), None, None, _how(name)))
    return found


def built_folder(name: str) -> Path:
    """Where the dataset of a name is built: inside the cache."""
    return cache_folder() / "datasets" / name


def _how(name: str) -> str:
    ways = [f"`headstart data build {name}` builds it"] if name in BUILDABLE else []
    entry = CATALOGUE.get(name)
    if entry is not None:
        ways.append(f"{list(entry.files)[-1]!r} downloads D4RL's own file")
        ways += [f"{entry.minari!r} is Minari's"] if entry.minari else []
    return "; ".join(ways)


def _family(name: str) -> str:
    entry = find_entry(name)
    return entry.family if entry else ""


def _here() -> dict[str, Path]:
    """Shipped and built datasets by name; a built one goes before a shipped one of the same name."""
    return {folder.name: folder for root in _roots() for folder in _folders(root)}


def _roots() -> tuple[Path, Path]:
    return Path(str(importlib.resources.files("headstart.data") / "shipped")), cache_folder() / "datasets"


def _folders(root: Path) -> Iterator[Path]:
    if root.is_dir():
        yield from (folder for folder in sorted(root.iterdir()) if is_dataset_folder(folder))


def _minari_place(text: str) -> Path | str:
    """What stands after "minari:": a folder if it looks like one, else an id."""
    name = text.removeprefix(_MINARI)
    return Path(name).expanduser() if name.startswith((".", "/", "~")) else name


def _load_minari(text: str) -> Experience:
    from headstart.data.minari_format import DATASET_ID, read_minari

    place = _minari_place(text)
    if isinstance(place, Path) and not place.exists():
        raise DataError(f"{place} does not exist")
    if isinstance(place, str) and not DATASET_ID.fullmatch(place):
        raise DataError(f"{place!r} is no Minari id; expected {_MINARI}namespace/name-v0 or {_MINARI}./FOLDER")
    return read_minari(place)


def _load_path(path: Path, memory_map: bool) -> Experience:
    if not path.exists():
        raise DataError(f"{path} does not exist")
    if path.is_dir():
        if is_dataset_folder(path):
            return load_folder(path, memory_map)
        from headstart.data.minari_format import is_minari_folder, read_minari

        if is_minari_folder(path):
            return read_minari(path)
        return load_folder(path, memory_map)  # says what is wrong with it
    if path.suffix in _HDF5:
        from headstart.data.d4rl_format import read_d4rl

        return read_d4rl(path)
    if path.suffix in _PARQUET:
        from headstart.data.parquet_format import read_parquet

        return read_parquet(path)
    raise UsageError(
        f"{path} is of no known kind; expected a D4RL file ({', '.join(_HDF5)}), a Parquet file "
        f"({', '.join(_PARQUET)}), or a dataset folder of ours or Minari's"
    )
