import json
import re
from html import unescape

import numpy as np
import pytest

from headstart.core.errors import DivergenceError, UsageError
from headstart.evaluate.statistics import interquartile_mean, stratified_bootstrap
from headstart.report.page import write_page
from headstart.report.sections import flatten
from headstart.runs.folder import RunFolder

# Steps through the page as a reader would, and leaves what it finds in the document.
PROBE = """<script>
const found = { problems: [] };
addEventListener("error", (event) => found.problems.push(event.message));
addEventListener("securitypolicyviolation", (event) => found.problems.push(event.blockedURI));
addEventListener("load", () => {
  const plot = document.getElementById("curves");
  const drawn = () => plot.data.map((trace) => ({ ...trace.meta, x: trace.x, y: trace.y, low: trace.customdata }));
  const choose = (selector, change) => {
    const control = document.querySelector(selector);
    change(control);
    control.dispatchEvent(new Event("change", { bubbles: true }));
    return drawn();
  };
  found.steps = drawn();
  found.updates = choose("input[value=updates]", (radio) => (radio.checked = true));
  found.time = choose("input[value=time]", (radio) => (radio.checked = true));
  found.hidden = choose("#show-run-0", (box) => (box.checked = false));
  found.seeds = choose("#show-seeds", (box) => (box.checked = true));
  found.returns = choose("#metric", (select) => (select.value = "evaluation/return"));
  found.lines = plot.querySelectorAll(".scatterlayer .js-line").length;
  found.requests = performance.getEntriesByType("resource").map((entry) => entry.name);
  found.legend = [...document.querySelectorAll(".legend label")].map((label) => label.textContent.trim());
  found.cells = Object.fromEntries(
    [...document.querySelectorAll("[data-estimate]")].map(
      (cell) => [cell.id, { ...cell.dataset, text: cell.innerText }]));
  const result = document.createElement("pre");
  result.id = "found";
  result.textContent = JSON.stringify(found);
  document.body.append(result);
});
</script>"""

# Shows the page in a frame as wide as a phone, everything unfolded; the window itself cannot be made that narrow.
PHONE = """<!doctype html><body>
<iframe id="phone" width="390" height="844" style="border:0"></iframe><pre id="found"></pre>
<script>
const phone = document.getElementById("phone");
phone.addEventListener("load", () => setTimeout(() => {
  const page = phone.contentDocument;
  page.querySelectorAll("details").forEach((part) => (part.open = true));
  const wide = [...page.querySelectorAll("body, body *")].filter(
    (part) => !part.closest("svg") && part.getBoundingClientRect().right > phone.contentWindow.innerWidth + 0.5);
  document.getElementById("found").textContent = JSON.stringify({
    window: phone.contentWindow.innerWidth, page: page.documentElement.scrollWidth,
    wide: wide.map((part) => part.outerHTML.slice(0, 100)), plot: page.querySelector("#curves svg").clientWidth,
  });
}, 300));
phone.srcdoc = PAGE;
</script></body>"""


def found_in(document):
    match = re.search(r'<pre id="found">(.*?)</pre>', document, re.DOTALL)
    assert match is not None, document[-3000:]
    return json.loads(unescape(match[1]))


def finals(run, metric="evaluation/score"):
    return [folder.metrics([metric])["value"][-1] for folder in run.seed_folders()]


def line(drawn, run, part="middle"):
    (trace,) = [trace for trace in drawn if trace["run"] == run and trace["part"] == part]
    return trace


def test_the_page_shows_the_recorded_numbers_in_a_browser(runs, tmp_path, browser):
    page = write_page(runs, tmp_path / "out" / "report.html")
    probed = tmp_path / "probed.html"
    probed.write_text(page.read_text().replace("</head>", PROBE + "</head>"))
    found = found_in(browser(probed))

    assert found["problems"] == []
    assert found["requests"] == []
    assert found["legend"] == ["wsrl", "sac", "</script><b>calql&"]

    for index, run in enumerate(runs):
        for metric in ("evaluation/score", "evaluation/return"):
            cell = found["cells"][f"final-{index}-{metric.replace('/', '-')}"]
            interval = stratified_bootstrap(finals(run, metric))
            shown = [float(cell[part]) for part in ("estimate", "low", "high")]
            np.testing.assert_allclose(shown, interval, rtol=1e-12)
    score = interquartile_mean(finals(runs[0]))
    assert found["cells"]["final-0-evaluation-score"]["text"].startswith(f"{score:.1f} [")

    steps = line(found["steps"], 0)
    assert (steps["x"][0], steps["x"][-1]) == (0, 1200)
    assert steps["y"][-1] == pytest.approx(score, rel=1e-6)
    bounds = [float(bound) for bound in re.findall(r"[-\d.]+", steps["low"][-1])]
    assert bounds == pytest.approx(stratified_bootstrap(finals(runs[0]))[1:], abs=0.5)
    assert line(found["steps"], 1)["y"][-1] == pytest.approx(interquartile_mean(finals(runs[1])), rel=1e-6)

    level = line(found["steps"], 2)
    assert level["x"] == [0, 1200]
    assert level["y"] == pytest.approx(finals(runs[2]) * 2, rel=1e-6)

    assert line(found["updates"], 0)["x"][-1] == 2000
    assert line(found["updates"], 2)["x"][-1] == 1000
    assert line(found["updates"], 2)["y"][-1] == pytest.approx(finals(runs[2])[0], rel=1e-6)
    ends = [folder.metrics(["evaluation/score"])["time"][-1] for folder in runs[0].seed_folders()]
    assert line(found["time"], 0)["x"][-1] == pytest.approx(np.mean(ends), rel=1e-6)
    assert line(found["time"], 0)["y"][-1] == pytest.approx(score, rel=1e-6)

    phases = [(trace["run"], trace["phase"]) for trace in found["updates"] if trace["part"] == "phase"]
    assert phases == [(0, "offline"), (0, "online"), (1, "online"), (2, "offline")]
    phases = [(trace["run"], trace["phase"]) for trace in found["steps"] if trace["part"] == "phase"]
    assert phases == [(0, "warmup"), (0, "online"), (1, "online")]

    assert {trace["run"] for trace in found["hidden"]} == {1, 2}
    assert [trace["run"] for trace in found["seeds"] if trace["part"] == "seed"] == [1, 1, 1, 2]
    assert [trace["run"] for trace in found["seeds"] if trace["part"] == "band"] == [1]
    assert line(found["returns"], 1)["y"][-1] == pytest.approx(
        interquartile_mean(finals(runs[1], "evaluation/return")), rel=1e-6
    )
    assert found["lines"] >= 6


def test_nothing_is_wider_than_a_phone(runs, tmp_path, browser):
    page = write_page(runs, tmp_path / "report.html", title="A" * 200)
    frame = tmp_path / "phone.html"
    frame.write_text(PHONE.replace("PAGE", json.dumps(page.read_text()).replace("<", "\\u003c")))
    found = found_in(browser(frame))
    assert found["wide"] == []
    assert found["page"] <= found["window"] == 390
    assert 200 < found["plot"] <= 390


def test_the_page_says_what_a_reader_needs(runs, tmp_path):
    text = write_page(runs, tmp_path / "report.html", title="What the data bought").read_text()
    body = unescape(re.sub(r"<[^>]+>", " ", text[text.index("<main>") : text.index("</main>")]))
    body = re.sub(r"\s+", " ", body)
    assert "What the data bought" in text
    assert "episodes 412" in body
    assert "0 is a return of -20.3, 100 of 3,234 (D4RL" in body
    assert "offline: 1,000 updates; warm-up: 200 steps; online: 1,000 updates, 1,000 steps" in body
    assert "3 settings differ" in body
    assert "method. critics 10 wsrl </script><b>calql& 2 sac" in body
    assert runs[0].provenance["packages"]["numpy"] in body
    assert '<meta name="viewport"' in text


def test_failed_and_unfinished_seeds_are_not_hidden(tmp_path):
    def train(seed, last):
        with seed.record() as recorder:
            recorder.note(["the critic was copied from <offline>"])
            recorder.log(1000, 900, "online", {"evaluation/return": 7.0})
            recorder.log(1300, 1200, "online", {"evaluation/return": last})
            if np.isnan(last):
                raise DivergenceError("loss/critic is nan")

    run = RunFolder.create(tmp_path / "a", {"method": "sac", "world": "Hopper-v5"}, [0, 1])
    train(run.seed(0), 9.0)
    with pytest.raises(DivergenceError):
        train(run.seed(1), float("nan"))
    waiting = RunFolder.create(tmp_path / "b", {"method": "ppo", "world": "Hopper-v5"}, [0])
    text = write_page([run, waiting], tmp_path / "report.html").read_text()
    assert "failed in online after 1,300 updates, 1,200 steps: DivergenceError: loss/critic is nan" in text
    assert 'data-estimate="8.0"' in text
    assert text.count("the critic was copied from &lt;offline&gt;") == 1
    assert "2 (1 finished)" in text
    assert "seed 0: waiting after nothing" in text
    assert ">not recorded<" in text


def test_bad_requests_are_refused(runs, tmp_path):
    path = tmp_path / "report.html"
    with pytest.raises(UsageError, match="no runs to report on"):
        write_page([], path)
    with pytest.raises(UsageError, match="2 labels for 3 runs"):
        write_page(runs, path, labels=["a", "b"])
    with pytest.raises(UsageError, match="no run has recorded loss/value"):
        write_page(runs, path, metrics=["loss/value"])
    with pytest.raises(UsageError, match="is not a run"):
        write_page([tmp_path / "nowhere"], path)
    empty = RunFolder.create(tmp_path / "d", {"method": "ppo"})
    with pytest.raises(UsageError, match="has recorded anything yet"):
        write_page([empty], path)
    assert not path.exists()


def test_flattening():
    nested = {"a": 1, "b": {"c": [1, 2], "d": {}}, "plan": [{"kind": "offline"}, {"kind": "online"}]}
    assert flatten(nested) == {"a": 1, "b.c": [1, 2], "plan.1.kind": "offline", "plan.2.kind": "online"}
