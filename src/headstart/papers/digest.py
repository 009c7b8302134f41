"""A digest of the code that a paper's numbers rest on; comments, docstrings, layout and prose do not count."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "headstart"
ROOT = Path(__file__).resolve().parents[1]
NO_NUMBERS = (f"{PACKAGE}.report", f"{PACKAGE}.papers.figures")
"""What only shows numbers that others have computed,"""
NUMBERS = (f"{PACKAGE}.report.selection", f"{PACKAGE}.report.comparison")
"""but for these, which choose the runs and compute what is shown of them."""
PROSE = {
    "Paper": {"title", "authors", "year", "arxiv", "summary", "deviations", "tried", "draw"},
    "Claim": {"sentence"},
}
"""Arguments that say something to readers and nothing to the experiment."""


def code_digest(module: str, root: Path = ROOT) -> str:
    """The digest of a module together with all modules of the package that it imports, directly or not.

    Names that are only looked up while running, as in a registry, are not seen: experiments import what they use.

    Args:
        module: dotted name, such as "headstart.papers.wsrl", or a module of the user's own.
        root: folder of the package.

    Returns:
        16 hexadecimal digits.
    """
    whole = hashlib.sha256()
    for name, path in sorted(imported_modules(module, root).items()):
        if name.endswith(".registry"):
            continue  # says where things are; the things themselves are imported by whoever uses them
        whole.update(f"{name} {_normalised(path)}\n".encode())
    return whole.hexdigest()[:16]


def shows_only(module: str) -> bool:
    """Whether no number rests on a module of the package."""
    return module.startswith(NO_NUMBERS) and module not in NUMBERS


def imported_modules(module: str, root: Path = ROOT) -> dict[str, Path]:
    """The module and every module of the package that it imports, directly or not, with their files."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _file(name, root) if name.split(".")[0] == PACKAGE else _elsewhere(name)
        if name in found or path is None or shows_only(name):
            continue
        found[name] = path
        names = _imports(ast.parse(path.read_text()), name, path.name == "__init__.py")
        waiting += [name for name in names if name.split(".")[0] == PACKAGE]
    return found


def _file(name: str, root: Path) -> Path | None:
    place = root.joinpath(*name.split(".")[1:])
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


def _elsewhere(name: str) -> Path | None:
    found = importlib.util.find_spec(name)
    return Path(found.origin) if found is not None and found.origin else None


def _imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[str]:
    """Dotted names that may be modules: imported ones, their packages, and what is imported from packages."""
    for node in _running(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = module.split(".") if is_package else module.split(".")[:-1]
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            origin = ".".join(part for part in (base, node.module) if part)
            names = [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only type checkers read."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


def _normalised(path: Path) -> str:
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if not (isinstance(node, ast.FunctionDef) and node.name == "draw")]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            ignored = PROSE.get(node.func.id, set())
            node.keywords = [keyword for keyword in node.keywords if keyword.arg not in ignored]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
