"""The quickstart runs from end to end on what ships with the package."""

from headstart.data.registry import load
from headstart.report.quickstart import DATA, LABELS, quickstart
from headstart.runs.folder import RunFolder


def test_the_shipped_data_are_what_the_quickstart_says():
    data = load(DATA)
    assert len(data) == 30_000
    assert data.spec.observation.shape == (17,)
    assert not data.terminations.any()
    assert data.returns().max() > 2000


def test_the_quickstart_ends_with_a_page_and_a_figure(tmp_path):
    told = []
    page, figure = quickstart(tmp_path / "quick", seeds=(0,), scale=0.01, show_progress=False, say=told.append)
    runs = [RunFolder.open(tmp_path / "quick" / name) for name in ("offline", "offline-then-online", "from-scratch")]
    assert [run.state() for run in runs] == ["finished"] * 3
    assert runs[1].seed(0).notes()  # what was carried over from the offline policy
    assert all(label in page.read_text() for label in LABELS)
    assert figure.read_text().startswith("<?xml")
    assert str(figure) in told[-1]
