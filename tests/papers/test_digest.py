"""The digest changes with what the numbers rest on, and with nothing else."""

import pytest

from headstart.papers.digest import code_digest, imported_modules

FILES = {
    "__init__.py": "",
    "papers/__init__.py": '"""Papers."""',
    "papers/one.py": '''"""One."""
from typing import TYPE_CHECKING
from headstart.core.numbers import two
from headstart.control import method
if TYPE_CHECKING:
    from headstart.core import unused

def run(seed, quick):
    """Runs."""
    from headstart.core import lazily  # when needed
    return two + lazily.three

def draw(results, path):
    return "red"

PAPER = Paper(title="One", tried=("this",), claims=(Claim(sentence="It works.", test="above 0"),))
''',
    "core/__init__.py": "",
    "core/numbers.py": "two = 2\n",
    "core/lazily.py": "three = 3\n",
    "core/unused.py": "four = 4\n",
    "control/__init__.py": "",
    "control/method.py": "from headstart.control.registry import NAMES\n",
    "control/registry.py": "from headstart.core import deep\nNAMES = {'a': 1}\n",
    "core/deep.py": "five = 5\n",
}


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_all_imports_are_followed_but_those_of_type_checkers(root):
    names = {name.removeprefix("headstart.") for name in imported_modules("headstart.papers.one", root)}
    assert names >= {"papers.one", "core.numbers", "core.lazily", "control.method", "core.deep"}
    assert "core.unused" not in names


def test_of_what_shows_numbers_only_that_which_computes_them_counts(root):
    (root / "report").mkdir()
    for name in ("__init__", "selection", "comparison", "figures"):
        (root / "report" / f"{name}.py").write_text(f"{name} = 1\n")
    (root / "papers/one.py").write_text("from headstart.report import comparison, figures, selection\n")
    names = {name.removeprefix("headstart.") for name in imported_modules("headstart.papers.one", root)}
    assert {name for name in names if name.startswith("report")} == {"report.selection", "report.comparison"}


def edit(root, name, old, new):
    text = (root / name).read_text()
    assert old in text
    (root / name).write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("papers/one.py", '"""Runs."""', '"""Runs one seed."""'),
        ("papers/one.py", "# when needed", "# only then"),
        ("papers/one.py", "return two +", "return (two)  +"),
        ("papers/one.py", '"red"', '"blue"'),
        ("papers/one.py", '("this",)', '("this", "that")'),
        ("papers/one.py", "It works.", "It works well."),
        ("core/unused.py", "4", "5"),
        ("control/registry.py", "'a': 1", "'a': 1, 'b': 2"),
    ],
)
def test_what_changes_no_number_changes_no_digest(root, name, old, new):
    before = code_digest("headstart.papers.one", root)
    edit(root, name, old, new)
    assert code_digest("headstart.papers.one", root) == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("papers/one.py", "two +", "two -"),
        ("papers/one.py", "above 0", "above -1"),
        ("core/numbers.py", "2", "3"),
        ("core/lazily.py", "3", "4"),
        ("core/deep.py", "5", "6"),
    ],
)
def test_what_may_change_a_number_changes_the_digest(root, name, old, new):
    before = code_digest("headstart.papers.one", root)
    edit(root, name, old, new)
    assert code_digest("headstart.papers.one", root) != before
