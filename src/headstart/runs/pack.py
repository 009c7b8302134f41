"""Share recorded runs: one file for many, checked against digests, merged without repeating or overwriting any."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from headstart.core.errors import DataError, UsageError
from headstart.core.files import read_json
from headstart.core.storage import writing
from headstart.runs.folder import RunFolder
from headstart.runs.index import find_runs

FORMAT = 1
"""Version of the packed file."""
MANIFEST = "manifest.json"
PRIVATE = ("lock",)
"""Files of a run that mean nothing elsewhere."""


@dataclass(frozen=True)
class Added:
    """What became of one packed run.

    Attributes:
        name: its name in the packed file.
        outcome: ``added``; ``present`` (the same numbers were there already); or ``conflict`` (a run of the same
            configuration, seeds and code is there with other numbers, and was left alone).
        path: where it was put, or the run that it equals or contradicts.
    """

    name: str
    outcome: str
    path: Path


def identity(record: Mapping[str, Any]) -> str:
    """What makes two runs the same experiment: configuration, seeds, and the code's commit (else its version).

    Args:
        record: what ``run.json`` holds.

    Returns:
        16 hexadecimal digits.
    """
    code = record.get("provenance", {}).get("code", {})
    facts = [record["config"], sorted(record["seeds"]), code.get("commit") or code.get("version"), code.get("dirty")]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def pack(runs: Sequence[Path | str], file: Path | str, checkpoints: bool = False) -> Path:
    """Write runs into one file, with the SHA-256 of everything in it.

    Args:
        runs: the runs' folders; their names have to differ.
        file: a new file, usually ending in .zip.
        checkpoints: whether what they learned is packed too, or only what they recorded.

    Raises:
        UsageError: a folder is no run, one is still running, names repeat, or the file exists.
        StorageError: the disk is full; nothing is left there.
    """
    file, folders = Path(file), [Path(run) for run in runs]
    names = [folder.resolve().name for folder in folders]
    if not folders or len(set(names)) != len(names):
        raise UsageError(f"runs to pack: {', '.join(names) or 'none'}; give at least one, of different names")
    if file.exists():
        raise UsageError(f"{file} exists already; choose another name")
    for folder in folders:
        if RunFolder.open(folder).state() == "running":
            raise UsageError(f"{folder} is still running; pack it when it has ended")
    handle, staged = tempfile.mkstemp(dir=file.absolute().parent, prefix=f".{file.name}.")
    try:
        with (
            writing(file),
            os.fdopen(handle, "wb") as stream,
            zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            digests = {}
            for folder, name in zip(folders, names, strict=True):
                for path in _files(folder, checkpoints):
                    inside = f"{name}/{path.relative_to(folder).as_posix()}"
                    archive.write(path, inside)
                    digests[inside] = _digest(path)
            archive.writestr(MANIFEST, json.dumps({"format": FORMAT, "runs": names, "sha256": digests}, indent=1))
        os.chmod(staged, 0o644)
        os.link(staged, file)  # fails, rather than replaces, where someone was quicker
    except FileExistsError as error:
        raise UsageError(f"{file} exists already; choose another name") from error
    finally:
        os.unlink(staged)
    return file


def verify(file: Path | str) -> list[str]:
    """Check a packed file; returns the names of its runs.

    Raises:
        DataError: it is damaged or was changed; names what does not agree.
    """
    with _open(Path(file)) as archive:
        manifest = _manifest(archive, Path(file))
        wrong = [name for name, digest in manifest["sha256"].items() if _packed_digest(archive, name) != digest]
    if wrong:
        raise DataError(f"{file} is not what was packed: {', '.join(wrong[:5])} changed ({len(wrong)} in all)")
    return manifest["runs"]


def add(file: Path | str, folder: Path | str) -> list[Added]:
    """Merge the runs of a packed file into a folder of runs; nothing there is overwritten.

    Raises:
        DataError: the file is damaged or was changed; nothing is added.
        StorageError: the disk is full; runs that were added before stay.
    """
    file, folder = Path(file), Path(folder)
    names = verify(file)
    present = _identities(folder)
    outcomes = []
    with _open(file) as archive, tempfile.TemporaryDirectory(prefix="headstart-add-") as temporary:
        for name in names:
            found = Path(temporary) / name
            with writing(temporary):
                _extract(archive, name, Path(temporary))
            run = RunFolder.open(found)
            for seed in run.seed_folders():
                seed.status()
            same = present.get(identity(read_json(found / "run.json")), [])
            equal = next((path for path in same if numbers(path) == numbers(found)), None)
            if same:
                outcomes.append(Added(name, "present" if equal else "conflict", equal or same[0]))
                continue
            place = _free(folder, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            staged = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{name}.", suffix=".partial"))
            try:
                with writing(place):
                    _copy(found, staged)
                staged.chmod(0o755)
                staged.rename(place)
            except OSError:
                shutil.rmtree(staged, ignore_errors=True)
                raise
            outcomes.append(Added(name, "added", place))
    return outcomes


def numbers(run: Path | str) -> str:
    """A digest of all that a run logged, but for how long it took; equal when two runs found the same."""
    whole = hashlib.sha256()
    table = RunFolder.open(run).metrics()
    for column in ("seed", "name", "phase", "updates", "environment_steps", "value"):
        values = table[column]
        whole.update(values.to_numpy().tobytes() if values.dtype.is_numeric() else "\n".join(values).encode())
    return whole.hexdigest()


def conflicts(folders: Iterable[Path | str]) -> list[list[Path]]:
    """Groups of runs of one identity, below some folders, whose numbers differ."""
    groups: dict[str, list[Path]] = {}
    for folder in folders:
        for name, paths in _identities(Path(folder)).items():
            groups.setdefault(name, []).extend(paths)
    several = [sorted(set(paths)) for paths in groups.values() if len(set(paths)) > 1]
    return [paths for paths in several if len({numbers(path) for path in paths}) > 1]


def _identities(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path, _ in find_runs(folder):
        path = Path(path)
        try:
            found.setdefault(identity(read_json(path / "run.json")), []).append(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # a damaged run equals none
    return found


def _files(folder: Path, checkpoints: bool) -> list[Path]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    kept = [path for path in files if path.name not in PRIVATE and not path.name.startswith(".")]
    return kept if checkpoints else [path for path in kept if "checkpoints" not in path.relative_to(folder).parts]


def _digest(path: Path) -> str:
    with open(path, "rb") as stream:
        return _stream_digest(stream)


def _stream_digest(stream: IO[bytes]) -> str:
    whole = hashlib.sha256()
    while block := stream.read(2**20):
        whole.update(block)
    return whole.hexdigest()


def _packed_digest(archive: zipfile.ZipFile, name: str) -> str | None:
    try:
        with archive.open(name) as stream:
            return _stream_digest(stream)
    except (KeyError, OSError, zipfile.BadZipFile, EOFError, RuntimeError):
        return None


def _open(file: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {file}") from error
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} is not a file of packed runs: {error}") from error


def _manifest(archive: zipfile.ZipFile, file: Path) -> dict[str, Any]:
    """The manifest, once it names everything in the file and nothing that would lie outside of its runs."""
    try:
        manifest = json.loads(archive.read(MANIFEST))
        version, names, digests = manifest["format"], manifest["runs"], manifest["sha256"]
        if version != FORMAT:
            raise ValueError(f"format {version}, expected {FORMAT}")
    except (KeyError, ValueError, TypeError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} is not a file of packed runs: {error!r}") from error
    strange = set(archive.namelist()) ^ {MANIFEST, *digests}
    outside = [name for name in digests if not _inside(name, names)]
    if strange or outside:
        raise DataError(
            f"{file} is not what was packed: {', '.join(sorted(strange | set(outside))[:5])} does not belong"
        )
    return manifest


def _inside(name: str, runs: Sequence[str]) -> bool:
    parts = PurePosixPath(name).parts
    safe = not name.startswith("/") and "\\" not in name and not {"..", "."} & set(name.split("/"))
    return safe and len(parts) > 1 and parts[0] in runs


def _extract(archive: zipfile.ZipFile, run: str, folder: Path) -> None:
    for name in archive.namelist():
        if name.startswith(f"{run}/"):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as packed, open(path, "wb") as stream:
                shutil.copyfileobj(packed, stream)


def _copy(run: Path, place: Path) -> None:
    # Not shutil.copytree, which tells of a full disk only in a list of texts.
    for path in filter(Path.is_file, run.rglob("*")):
        target = place / path.relative_to(run)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


def _free(folder: Path, name: str) -> Path:
    place, number = folder / name, 2
    while place.exists():
        place, number = folder / f"{name}-{number}", number + 1
    return place
