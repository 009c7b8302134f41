"""The page and the words about a search."""

import os
import re
import shutil
import subprocess

import pytest

from headstart.core.domain import Choice, Real
from headstart.tune.importance import importances
from headstart.tune.page import write_page
from headstart.tune.space import Space
from headstart.tune.summary import checklist, summary
from headstart.tune.tuning import Execution, Tuning, tune_function


@pytest.fixture
def found(tmp_path, in_this_process):
    """Only x and y matter, not the third."""
    space = Space({"x": Real(0.0, 1.0), "y": Real(1e-4, 1.0, "log"), "</script>": Choice(("<b>a", "b"))})
    default = {"x": 0.9, "y": 0.5, "</script>": "b"}
    options = {"sampler": "random", "trials": 24, "tuning_seeds": (0,), "test_seeds": (5, 6), "default": default}
    function = "tuned_functions:quadratic"
    return tune_function(function, space, folder=tmp_path / "search", execution=Execution(quiet=True), **options)


def document(path, profile):
    """The page's document once its scripts have run, in a browser without a window."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if program is None:
        message = "no Chromium or Chrome on PATH; install one to check the page"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += [f"--user-data-dir={profile}", "--virtual-time-budget=10000", "--dump-dom"]
    command = [program, *options, f"file://{path}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_the_page_draws_its_figures_and_says_what_was_found(found, tmp_path):
    html = document(write_page(found, tmp_path / "page.html"), tmp_path / "profile")
    for figure in ("gap", "progress", "coordinates", "importance"):
        drawn = re.search(rf'<div class="figure[^"]*" id="{figure}".*?(?=<section|<script)', html, re.DOTALL)
        assert drawn is not None, figure
        assert "<svg" in drawn.group(), figure
    assert html.count("<tr>") == 1 + 24
    assert f"Chosen: trial {found.incumbent.number}" in html
    assert "<b>a" not in html.split('id="figure-data"')[0]
    assert "http-equiv" in html


def test_importance_names_what_matters(found):
    shares = importances(found)
    assert shares["</script>"] == min(shares.values()) < 0.2
    assert sum(shares.values()) == pytest.approx(1.0)


def test_words_say_which_score_to_report(found):
    text = summary(found)
    assert "test seeds, which it never saw" in text
    facts = checklist(found)
    assert facts["tuning seeds"] == "0"
    assert facts["spent on tuning"] == "24 of 24 steps, 24 of 24 whole trials"
    assert facts["trials"] == "24 finished"


def test_a_search_that_has_only_begun_has_a_page_too(found, tmp_path):
    journal = found.folder / "journal.jsonl"
    journal.write_text(journal.read_text().split("\n")[0] + "\n")
    begun = Tuning.open(found.folder)
    assert "No trial is finished yet" in write_page(begun, tmp_path / "page.html").read_text()
    assert summary(begun).startswith("no trial is finished yet")
