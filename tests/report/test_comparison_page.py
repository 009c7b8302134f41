"""The interactive page of a comparison: the figures' numbers, for pointing at, in a browser."""

import re

import numpy as np
import pytest

from headstart.cli import main
from headstart.evaluate.statistics import interquartile_mean, probability_of_improvement, stratified_bootstrap
from headstart.report.comparison import Comparison, markdown
from headstart.report.comparison_page import write_page
from tests.report.chromium import Chromium
from tests.report.conftest import record

PANELS = """[...document.querySelectorAll('.panels > div')].map((panel) => ({
    figure: panel.parentElement.id, title: panel.layout.title.text, names: panel.layout.yaxis.ticktext,
    x: panel.layout.xaxis.title.text, y: panel.layout.yaxis.title?.text,
    drawn: panel.querySelectorAll('.js-line, .point').length,
    lines: panel.data.filter((trace) => trace.meta.part != 'band').map((trace) => (
        { arm: trace.meta.arm, x: trace.x, y: trace.y, bounds: trace.customdata }))}))"""


@pytest.fixture
def comparison():
    generator, worlds, labels = np.random.default_rng(0), ["Hopper-v5", "pendulum"], ["iql", "</script><b>sac"]
    pairs = [(label, world) for label in labels for world in worlds]
    curves = {pair: generator.normal(size=(5, 100)).cumsum(axis=1) for pair in pairs}
    x = {world: np.linspace(0, 1000, 100) for world in worlds}
    return Comparison(worlds, labels, x, curves, {pair: curve[:, -1] for pair, curve in curves.items()}, "return")


def test_the_page_shows_the_figures_numbers_in_a_browser(comparison, tmp_path, chromium):
    path = write_page(comparison, tmp_path / "out" / "both.html", "environment steps")
    with Chromium(chromium, tmp_path / "profile") as page:
        page.open(f"file://{path}")
        page.wait("document.querySelector('#improvement .point')")
        panels = page.evaluate(PANELS)
        assert [panel["figure"] for panel in panels] == ["curves"] * 2 + ["aggregates"] * 3 + ["profile", "improvement"]
        assert [panel["title"] for panel in panels[:3]] == ["Hopper-v5", "pendulum", "median"]
        assert (panels[0]["x"], panels[0]["y"]) == ("environment steps", "return")

        line = panels[1]["lines"][1]
        values = comparison.curves["</script><b>sac", "pendulum"]
        assert line["arm"] == "</script><b>sac"
        np.testing.assert_allclose(line["y"], [interquartile_mean(values[:, i]) for i in range(100)], rtol=1e-4)
        low, high = map(float, re.findall(r"-?[\d.]+", line["bounds"][-1]))
        expected = stratified_bootstrap(values[:, -1], interquartile_mean, n=5000)
        np.testing.assert_allclose([low, high], expected[1:], atol=0.15 * np.ptp(values[:, -1]))

        middle = panels[3]
        assert middle["names"] == ["</script><b>sac", "iql"]
        shown = middle["lines"][1]["x"][0]
        assert shown == pytest.approx(interquartile_mean(comparison.matrix("iql")), rel=1e-4)
        assert f"{shown:,.4g}" in markdown(comparison)
        assert f"{shown:,.4g} [" in page.evaluate("document.querySelector('tbody tr').innerText")
        beats = probability_of_improvement(*map(comparison.matrix, comparison.labels))
        assert panels[6]["lines"][0]["x"][0] == pytest.approx(beats, rel=1e-4)
        assert panels[6]["names"] == ["iql > </script><b>sac"]
        assert all(panel["drawn"] for panel in panels)

        page.evaluate("document.querySelector('#arms input').click()")
        assert [len(panel["lines"]) for panel in page.evaluate(PANELS)] == [1, 1, 2, 2, 2, 1, 1]
        assert page.evaluate("performance.getEntriesByType('resource').length") == 0
        assert page.problems == []
        page.resize(390, 844, 2)
        page.wait("document.documentElement.scrollWidth <= 390 && innerWidth == 390")


def test_the_command_writes_the_page_beside_the_figures(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path / "cache"))
    config, generator = (
        {"method": {"name": "iql"}, "world": {"name": "Hopper-v5"}, "data": None},
        np.random.default_rng(0),
    )
    record(tmp_path / "runs" / "a", config, [("online", 300)], lambda *now: now[1], [0, 1], generator)
    out = tmp_path / "one.x"
    assert main(["plot", str(tmp_path / "runs"), "--out", str(out), "--xaxis", "updates", "--format", "png"]) == 0
    written = capsys.readouterr().out.splitlines()[-6:]
    assert written[-1] == str(tmp_path / "one.x.html")
    text = (tmp_path / "one.x.html").read_text()
    assert "gradient updates" in text
    assert "https://" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
