"""What holds for the project as a whole: its ranges, its floors, the size of its files and the speed of its start."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from benchmarks import tables
from headstart.papers.page import page as evidence_page

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "headstart"
MODULES = sorted(SOURCE.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

FLOORS = [
    ["core"],
    ["evaluate", "runs"],
    ["envs", "data", "judges"],
    ["control", "finite", "bandits", "language"],
    ["tune", "report"],
    ["papers"],
    ["cli"],
]
FLOOR_OF = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
HEAVY = {"jax", "equinox", "gymnasium", "mujoco", "polars", "pyarrow", "h5py", "scipy", "matplotlib", "plotly", "torch"}


def imports_of(module: Path) -> set[str]:
    """Names of the headstart rooms that a module imports anywhere, inside functions too."""
    tree = ast.parse(module.read_text())
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            package = ".".join(["headstart", *module.relative_to(SOURCE).parent.parts][: -node.level + 1 or None])
            origin = f"{package}.{node.module or ''}".rstrip(".") if node.level else node.module or ""
            names += [f"{origin}.{alias.name}" for alias in node.names] if origin == "headstart" else [origin]
    rooms = {name.split(".")[1] for name in names if name.startswith("headstart.")}
    return {room for room in rooms if (SOURCE / room).is_dir()}


def test_imports_go_downward_only() -> None:
    upward = []
    for module in MODULES:
        room, *inside = module.relative_to(SOURCE).parts
        for other in imports_of(module) - {room} if inside else ():
            if FLOOR_OF[other] >= FLOOR_OF[room]:
                upward.append(f"{module.relative_to(SOURCE)} imports {other}")
    assert upward == []


def test_a_module_is_read_in_one_sitting() -> None:
    lengths = {str(module.relative_to(SOURCE)): len(module.read_text().splitlines()) for module in MODULES}
    assert {name: length for name, length in lengths.items() if length > 450} == {}


HELP = """
import contextlib, io, headstart.cli
sys.argv = ["headstart", "--help"]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out:
    headstart.cli.main()
assert "train" in out.getvalue(), out.getvalue()
"""


@pytest.mark.parametrize("start", ["import headstart", HELP], ids=["import headstart", "headstart --help"])
def test_heavy_packages_are_not_imported_at_the_start(start: str) -> None:
    code = f"import sys\n{start}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert not HEAVY & set(result.stdout.split())


def requirements() -> dict[str, SpecifierSet]:
    """Every version range that the package declares, the extras' among them."""
    extras = PROJECT["optional-dependencies"].values()
    declared = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    return {requirement.name: requirement.specifier for requirement in map(Requirement, declared)}


@pytest.mark.parametrize(
    ("package", "admitted", "refused"),
    [
        ("jax", ["0.10.0", "0.10.2", "0.11.3"], ["0.9.2", "0.12.0"]),
        ("torch", ["2.11.0", "2.12.1", "2.13.0"], ["2.10.0", "2.14.0"]),
    ],
)
def test_declared_ranges_admit_the_supported_versions(package: str, admitted: list[str], refused: list[str]) -> None:
    declared = requirements()[package]
    assert [version for version in admitted if version not in declared] == []
    assert [version for version in refused if version in declared] == []


def test_supported_pythons() -> None:
    declared = SpecifierSet(PROJECT["requires-python"])
    versions = [f"3.{minor}.5" for minor in range(9, 16)]
    assert [version for version in versions if version in declared] == ["3.11.5", "3.12.5", "3.13.5"]


def test_pinned_versions_lie_in_the_declared_ranges() -> None:
    pins = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text().split() if "==" in line)
    direct = list(map(Requirement, PROJECT["dependencies"]))
    assert {requirement.name for requirement in direct} <= pins.keys()
    assert [str(requirement) for requirement in direct if pins[requirement.name] not in requirement.specifier] == []
    assert [name for name in pins if name.startswith(("nvidia", "cuda", "torch"))] == []


def test_pinned_versions_of_the_language_wing_lie_in_the_declared_ranges() -> None:
    lines = [line for name in ("requirements.txt", "requirements-language.txt") for line in (ROOT / name).open()]
    pins = dict(line.strip().split("==") for line in lines if "==" in line)
    direct = list(map(Requirement, PROJECT["optional-dependencies"]["language"]))
    assert {requirement.name for requirement in direct} <= pins.keys()
    assert [str(requirement) for requirement in direct if pins[requirement.name] not in requirement.specifier] == []


def shell_commands(page: Path) -> list[list[str]]:
    """The `headstart …` lines of a page's code blocks, split at spaces; continued lines are joined."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line.split("#")[0].split() for line in lines if line.startswith("headstart ")]


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_that_the_documentation_shows_exist(page: Path) -> None:
    known: dict[tuple[str, ...], bool] = {}
    for _, *words in shell_commands(page):
        plain = [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)]
        command = tuple(plain[: 2 if plain[:1] in (["data"], ["papers"]) else 1])
        if command and command not in known:
            run = [sys.executable, "-c", "from headstart.cli import main; main()", *command, "--help"]
            known[command] = subprocess.run(run, capture_output=True, check=False).returncode == 0
    assert [" ".join(command) for command, exists in known.items() if not exists] == []


def test_benchmark_page_says_what_was_recorded() -> None:
    assert (ROOT / "benchmarks" / "README.md").read_text() == tables.page()


def test_evidence_page_says_what_was_recorded() -> None:
    assert (ROOT / "evidence" / "README.md").read_text() == evidence_page()
