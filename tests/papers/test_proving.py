"""Proving: seeds in processes, judged, recorded, resumed after a failure, told to be stale."""

import json
from pathlib import Path

import pytest

from headstart.cli import main
from headstart.core.errors import HeadstartError, UsageError
from headstart.papers import evidence, registry
from headstart.papers.proving import prove

HERE = Path(__file__).parent


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """The paper of fake_paper.py under its own name, evidence and cache in a folder of the test's; returns its log."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("FAKE_PAPER_LOG", str(tmp_path / "log"))
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(evidence, "evidence_folder", lambda: tmp_path / "evidence")
    papers = registry.Registry("paper")
    papers.add("fake-paper", "fake_paper:PAPER", "Coins")
    for place in ("headstart.papers.registry", "headstart.papers.proving", "headstart.papers.page"):
        monkeypatch.setattr(f"{place}.PAPERS", papers)
    return tmp_path / "log"


def test_a_full_run_records_every_number_and_a_claim_that_fails(fake, tmp_path, capsys):
    assert main(["papers", "prove", "fake-paper", "--quiet"]) == 1
    printed = capsys.readouterr()
    assert "biased" in printed.out
    assert "opposite: fails" in printed.out
    assert "not holding: fake-paper" in printed.err
    record = json.loads((tmp_path / "evidence" / "fake-paper.json").read_text())
    assert record["verdict"] == "fails"
    assert [(claim["name"], claim["holds"]) for claim in record["claims"]] == [("bias", True), ("opposite", False)]
    assert [seed["seed"] for seed in record["seeds"]] == [0, 1, 2, 3]
    heads = [seed["numbers"]["biased"] for seed in record["seeds"]]
    assert record["table"][0]["heads"] == pytest.approx(sum(heads) / 4)
    assert record["code"]["digest"]
    assert {"commit", "dirty", "version"} <= set(record["code"])
    assert record["machine"]["cores"]
    assert record["packages"]["numpy"]
    assert "host" not in record["machine"]
    assert "<svg" in (tmp_path / "evidence" / "fake-paper.svg").read_text()[:500]
    page = (tmp_path / "evidence" / "README.md").read_text()
    assert "| [fake-paper](#fake-paper) | 1 of 2 | Coins |" in page
    assert "**fails**" in page
    assert "(fake-paper.svg)" in page
    assert main(["papers", "list"]) == 0
    assert "fails (1 of 2 claims hold)" in capsys.readouterr().out
    assert main(["papers", "show", "fake-paper"]) == 0
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("interval of the difference above 0", "tosses: 1000", "other coins", "fails"))


def test_a_run_that_failed_goes_on_with_the_seeds_that_are_missing(fake, tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_PAPER_FAILS", "2")
    with pytest.raises(HeadstartError, match="seed 2: error: the coin rolled under the table"):
        prove("fake-paper", show_progress=False, workers=2)
    assert sorted(fake.read_text().split()) == ["0", "1", "2", "3"]
    assert not (tmp_path / "evidence").exists()
    monkeypatch.delenv("FAKE_PAPER_FAILS")
    monkeypatch.setenv("FAKE_PAPER_LENIENT", "1")
    proof = prove("fake-paper", show_progress=False)
    assert fake.read_text().split()[4:] == ["2"]
    assert proof.holds
    assert evidence.status("fake-paper", evidence.read("fake-paper")) == "holds"
    figure = (tmp_path / "evidence" / "fake-paper.svg").read_bytes()
    assert main(["papers", "draw", "fake-paper"]) == 0
    assert (tmp_path / "evidence" / "fake-paper.svg").read_bytes() == figure


def test_a_quick_run_records_nothing(fake, tmp_path, capsys):
    assert main(["papers", "prove", "fake-paper", "--quick", "--quiet"]) == 0
    assert sorted(fake.read_text().split()) == ["0", "1"]
    assert not (tmp_path / "evidence").exists()
    assert not (tmp_path / "cache").exists()
    assert "holds" not in capsys.readouterr().out


def test_evidence_of_other_code_is_stale_and_damaged_evidence_is_refused(fake, tmp_path, capsys):
    (tmp_path / "evidence").mkdir()
    place = tmp_path / "evidence" / "fake-paper.json"
    record = {"format": 1, "verdict": "holds", "code": {"digest": "0" * 16}, "claims": [{"holds": True}]}
    place.write_text(json.dumps(record))
    assert main(["papers", "list"]) == 0
    assert "stale (1 of 1 claims held)" in capsys.readouterr().out
    place.write_text('{"format": 1, "verd')
    assert main(["papers", "list"]) == 2
    assert "not a readable evidence file" in capsys.readouterr().err


def test_unknown_papers_and_a_missing_evidence_folder_are_refused_before_anything_runs(fake, monkeypatch, capsys):
    assert main(["papers", "prove", "fake-papre"]) == 2
    assert "did you mean fake-paper?" in capsys.readouterr().err
    assert main(["papers", "prove"]) == 2

    def nowhere():
        raise UsageError("no place for evidence")

    monkeypatch.setattr(evidence, "evidence_folder", nowhere)
    assert main(["papers", "prove", "fake-paper"]) == 2
    assert not fake.exists()
    assert main(["papers", "list"]) == 0
    assert "not run" in capsys.readouterr().out
