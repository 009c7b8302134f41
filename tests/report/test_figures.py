import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from headstart.core.errors import UsageError
from headstart.report import figures
from headstart.report.curves import Curve, Span
from headstart.report.figures import draw_curves, draw_runs


@pytest.fixture
def curves():
    generator = np.random.default_rng(0)
    x = np.arange(0.0, 1100.0, 100.0)
    return [
        Curve("ours", x, x / 20 + generator.normal(size=(5, 11)), (Span("warmup", 0, 200), Span("online", 200, 1000))),
        Curve("scratch", x, x / 40 + generator.normal(size=(5, 11))),
        Curve("kept", np.zeros(1), np.full((5, 1), 30.0)),
    ]


def test_a_figure_shows_lines_bands_levels_phases_and_labels(curves, tmp_path, monkeypatch):
    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: (drawn.append(figure), save(figure, *a, **k)))
    draw_curves(curves, tmp_path / "figure.png", "steps", "return", title="Title")
    (axes,) = drawn[0].axes
    lines = axes.get_lines()
    np.testing.assert_allclose(lines[0].get_ydata(), curves[0].band.estimate)
    np.testing.assert_allclose(lines[2].get_xdata(), [0, 1000])
    assert lines[2].get_ydata().tolist() == [30.0, 30.0]
    assert lines[2].get_linestyle() == "--"
    assert len(axes.collections) == 3
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["warm-up", "ours", "scratch", "kept"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("steps", "return")
    places = sorted(text.xy[1] for text in axes.texts[1:])
    low, high = axes.get_ylim()
    assert min(np.diff(places)) >= 0.06 * (high - low)
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width > 900
        assert image.width > image.height


def test_the_same_curves_give_the_same_bytes(curves, tmp_path):
    first = draw_curves(curves, tmp_path / "a" / "one.svg", "x", "y").read_bytes()
    second = draw_curves(curves, tmp_path / "two.svg", "x", "y").read_bytes()
    assert first == second
    assert ElementTree.fromstring(first).tag.endswith("svg")


def test_recorded_runs_are_drawn(runs, tmp_path):
    path = draw_runs(runs[:2], tmp_path / "figure.svg", axis="time")
    assert path.stat().st_size > 5000


def test_bad_requests_are_refused(curves, runs, tmp_path):
    with pytest.raises(UsageError, match="no curves"):
        draw_curves([], tmp_path / "figure.png", "x", "y")
    with pytest.raises(UsageError, match=r"ends in '\.jpg'"):
        draw_curves(curves, tmp_path / "figure.jpg", "x", "y")
    with pytest.raises(UsageError, match="unknown metric"):
        draw_runs(runs, tmp_path / "figure.png", metric="evaluation/retrun")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []


@pytest.mark.parametrize("wanted", [[0.0, 0.01, 0.02], [0.98, 0.99, 1.0], [0.5, 0.1, 0.5, 0.5], [0.3]])
def test_labels_are_moved_apart_in_order_and_within_the_axes(wanted):
    placed = figures._apart(np.array(wanted), 0.1, 0.0, 1.0)
    assert np.all(np.diff(np.sort(placed)) > 0.1 - 1e-9)
    assert placed.min() >= -1e-9
    assert placed.max() <= 1 + 1e-9
    assert np.all(np.diff(placed[np.argsort(wanted, kind="stable")]) > 0)
