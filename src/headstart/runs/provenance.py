"""Where a run's numbers come from: code, package versions, machine, command."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PACKAGES = (
    "headstart",
    "jax",
    "jaxlib",
    "equinox",
    "optax",
    "numpy",
    "scipy",
    "gymnasium",
    "mujoco",
    "minari",
    "envpool",
    "polars",
    "torch",
    "transformers",
)
"""Packages whose versions a run records, where they are installed."""


def collect(accelerators: Sequence[str] | None = None) -> dict[str, Any]:
    """Facts that a run records about the code, the packages, the machine and the command, as plain JSON values.

    Args:
        accelerators: names of the devices in use; None asks ``nvidia-smi`` where there is one.
    """
    return {
        "code": code(),
        "packages": packages(),
        "python": platform.python_version(),
        "machine": {
            "host": socket.gethostname(),
            "system": platform.platform(),
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "accelerators": list(_accelerators() if accelerators is None else accelerators),
        },
        "command": sys.argv,
        "folder": str(Path.cwd()),
    }


def code(package: Path | None = None) -> dict[str, Any]:
    """The version of this library and, when it runs from a Git checkout, its commit.

    Args:
        package: folder of the package; this library's own by default.

    Returns:
        ``version``; ``commit`` (40 hex digits) and ``dirty`` (whether the package's files differ from that commit),
        both None when the package's files are not tracked by Git.
    """
    package = package or Path(__file__).resolve().parents[1]
    version = packages(["headstart"]).get("headstart")
    # A checkout that merely contains this installation (a project's .venv) does not track the package's files.
    if not _git(package, "ls-files", "--", "."):
        return {"version": version, "commit": None, "dirty": None}
    commit = _git(package, "rev-parse", "--verify", "HEAD")
    return {"version": version, "commit": commit, "dirty": bool(_git(package, "status", "--porcelain", "--", "."))}


def packages(names: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Versions of those of ``names`` that are installed."""
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def differences(recorded: Mapping[str, Any], current: Mapping[str, Any]) -> list[str]:
    """What may change a run's numbers between two records: one line for each differing fact, empty when none does.

    Args:
        recorded: what ``collect`` returned when the run began.
        current: what it returns now.
    """
    lines = []
    for part in ("code", "packages", "machine"):
        before, now = recorded.get(part) or {}, current.get(part) or {}
        for key in sorted({*before, *now} - {"host", "memory_bytes", "cores"}):
            if before.get(key) != now.get(key):
                lines.append(f"{key}: {before.get(key)} when recorded, {now.get(key)} now")
    if recorded.get("python") != current.get("python"):
        lines.append(f"python: {recorded.get('python')} when recorded, {current.get('python')} now")
    return lines


def _output(*command: str) -> str | None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None


def _git(folder: Path, *arguments: str) -> str | None:
    return _output("git", "-C", str(folder), *arguments)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _accelerators() -> list[str]:
    if shutil.which("nvidia-smi") is None:
        return []
    return (_output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader") or "").splitlines()
