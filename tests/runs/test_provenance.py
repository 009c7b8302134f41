import json
import subprocess

import pytest

from headstart.runs import provenance


@pytest.fixture
def checkout(tmp_path):
    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    package = tmp_path / "src" / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    return package


def test_a_clean_checkout_has_a_commit(checkout):
    found = provenance.code(checkout)
    assert len(found["commit"]) == 40
    assert found["dirty"] is False


def test_changed_or_new_files_make_it_dirty(checkout):
    (checkout / "new.py").write_text("x = 1")
    assert provenance.code(checkout)["dirty"] is True
    (checkout / "new.py").unlink()
    (checkout / "__init__.py").write_text("x = 1")
    assert provenance.code(checkout)["dirty"] is True


def test_changes_outside_the_package_do_not_count(checkout):
    (checkout.parents[1] / "notes.txt").write_text("hello")
    assert provenance.code(checkout)["dirty"] is False


def test_an_installation_inside_a_foreign_checkout_has_only_a_version(checkout):
    installed = checkout.parents[1] / ".venv" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    found = provenance.code(installed)
    assert (found["commit"], found["dirty"]) == (None, None)
    assert found["version"] == provenance.packages()["headstart"]


def test_the_record_is_plain_json_with_the_facts_a_reader_needs():
    record = json.loads(json.dumps(provenance.collect(accelerators=["cpu"])))
    assert record["machine"]["cores"] >= 1
    assert record["machine"]["memory_bytes"] > 1e8
    assert record["machine"]["processor"]
    assert record["packages"]["numpy"]
    assert record["command"]


def test_differences_name_what_changed():
    record = provenance.collect(accelerators=["cpu"])
    assert provenance.differences(record, record) == []
    changed = json.loads(json.dumps(record))
    changed["packages"]["numpy"] = "0.1"
    changed["python"] = "2.7"
    changed["machine"]["host"] = "elsewhere"
    lines = provenance.differences(record, changed)
    assert lines == [
        f"numpy: {record['packages']['numpy']} when recorded, 0.1 now",
        f"python: {record['python']} when recorded, 2.7 now",
    ]
