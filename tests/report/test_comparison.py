"""Comparisons: which runs a filter takes, the numbers of the table, what cannot be compared."""

import numpy as np
import polars as pl
import pytest

from headstart.cli import main
from headstart.core.errors import UsageError
from headstart.report.comparison import compare, markdown, table
from headstart.report.selection import Filters, select
from headstart.runs.folder import RunFolder
from headstart.runs.index import tag

WORLDS, METHODS = ("pendulum", "mountain-car"), ("iql", "sac")


def value(method, world, discount, seed, step):
    return METHODS.index(method) * 100 + WORLDS.index(world) * 10 + discount + seed / 100 + step


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    for method in METHODS:
        for world in WORLDS:
            for discount in (0.9, 0.99):
                config = {"method": {"name": method, "discount": discount}, "world": {"name": world}, "data": None}
                run = RunFolder.create(folder / f"{method}-{world}-{discount}", config, seeds=[0, 1])
                for seed in run.seed_folders():
                    with seed.record() as recorder:
                        for step in range(4):
                            logged = {"evaluation/return": value(method, world, discount, seed.seed, step)}
                            recorder.log(step, 10 * step, "online", logged)
                if discount == 0.99:
                    tag(run.path, ["good", "late"] if method == "sac" else ["good"])
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize(
    ("text", "runs", "seeds"),
    [
        ("iql", {("iql", 0.9), ("iql", 0.99)}, {0, 1}),
        ("iql?method.discount=0.9", {("iql", 0.9)}, {0, 1}),
        ("iql?discount=0.9&discount=0.99", {("iql", 0.9), ("iql", 0.99)}, {0, 1}),
        ("*?tag=good", {("iql", 0.99), ("sac", 0.99)}, {0, 1}),
        ("*?tag=good&tag=late", {("sac", 0.99)}, {0, 1}),
        ("sac?tag=good&seed=1", {("sac", 0.99)}, {1}),
        ("sac?seed=0&seed=1&discount=0.9", {("sac", 0.9)}, {0, 1}),
    ],
)
def test_a_filter_takes_exactly_what_it_says(store, text, runs, seeds):
    (arm,) = select([store], Filters.parse([text]))
    found = {world: sorted(values[0] for _, values in curves) for world, curves in arm.curves.items()}
    expected = {w: sorted(value(m, w, d, seed, 0) for m, d in runs for seed in seeds) for w in WORLDS}
    assert set(found) == set(expected)
    for world in WORLDS:
        np.testing.assert_allclose(found[world], expected[world])


def test_command_lines_of_openrlbenchmark_choose_the_same(tmp_path):
    for number, (name, entity) in enumerate(
        [("a?b&c", "lab"), ("axb&c", "lab"), ("ppo[v2]", "lab"), ("a?b&c", "else")]
    ):
        config = {"exp_name": name, "env_id": "Hopper-v2", "entity": entity, "project": "p"}
        run = RunFolder.create(tmp_path / str(number), config, seeds=[number])
        with run.seed(number).record() as recorder:
            recorder.log(1, 1, "online", {"charts/episodic_return": float(number)})
    header = "?we=lab&wpn=p&ceik=env_id.value&cen=exp_name.value&metric=charts/episodic_return&xaxis=global_step"
    texts = [header, "a%3Fb%26c?cl=A%26B", "a?cl=nothing", "a*?cl=both", "ppo[v2]?env_id.value=Hopper*"]
    with pytest.raises(UsageError, match="'nothing'"):
        select([tmp_path], Filters.parse(texts))
    arms = select([tmp_path], Filters.parse([text for text in texts if "nothing" not in text]))
    found = {arm.label: [values[0] for _, values in arm.curves["Hopper-v2"]] for arm in arms}
    assert found == {"A&B": [0.0], "both": [0.0, 1.0], "ppo[v2]": [2.0]}
    every = select([tmp_path], Filters.parse(["?cen=exp_name&ceik=env_id&metric=charts/episodic_return"]))
    assert {arm.label: len(arm.curves["Hopper-v2"]) for arm in every} == {"a?b&c": 2, "axb&c": 1, "ppo[v2]": 1}


def test_the_table_has_means_and_deviations_of_final_scores(store):
    filters = Filters.parse(["?xaxis=updates", "iql?tag=good&cl=IQL", "sac?tag=good"])
    comparison = compare(select([store], filters), "return", last=2)
    assert comparison.labels == ["IQL", "sac"]
    assert set(comparison.worlds) == set(WORLDS)
    rows = table(comparison)
    scores = np.array([value("sac", "mountain-car", 0.99, seed, 2.5) for seed in (0, 1)])
    assert rows[1]["mountain-car"] == pytest.approx(scores.mean(), abs=1e-9)
    assert rows[1]["mountain-car std"] == pytest.approx(scores.std(), abs=1e-9)
    np.testing.assert_allclose(comparison.x["pendulum"][[0, -1]], [0, 3])
    np.testing.assert_allclose(comparison.curves["IQL", "pendulum"][0, -1], value("iql", "pendulum", 0.99, 0, 3))
    assert "| IQL |" in markdown(comparison)
    scaled = compare(select([store], filters), "return", "maxmin")
    ends = [scaled.curves[arm, "pendulum"] for arm in ("IQL", "sac")]
    assert min(part.min() for part in ends) == pytest.approx(0)
    assert max(part.max() for part in ends) == pytest.approx(1)


def test_the_command_writes_figures_and_tables(store, tmp_path, capsys):
    out = tmp_path / "both"
    arguments = ["plot", str(store), "--filters", "?metric=evaluation/return", "iql?cl=one", "--filters", "sac"]
    assert main([*arguments, "--out", str(out), "--worlds", "pendulum"]) == 0
    assert "| one |" in capsys.readouterr().out
    for ending in ("", "-aggregate", "-profile", "-improvement"):
        assert "<svg" in (tmp_path / f"both{ending}.svg").read_text()[:500]
    assert pl.read_csv(tmp_path / "both.csv")["arm"].to_list() == ["one", "sac"]
    assert main(["plot", str(store), "--out", str(out), "--format", "png"]) == 0
    assert "| iql |" in (tmp_path / "both.md").read_text()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["?metrc=x", "iql"], "did you mean metric"),
        (["?xaxis=steps", "iql"], "x axis"),
        (["?metric=evaluation/retrn", "iql"], "did you mean evaluation/return"),
        (["iqql"], "no run is chosen by 'iqql'"),
        (["iql?seed=first"], "whole number"),
        (["iql?discnt=1"], "did you mean"),
    ],
)
def test_a_filter_that_cannot_work_is_refused(store, texts, message):
    with pytest.raises(UsageError, match=message):
        select([store], Filters.parse(texts))


def test_what_has_not_ended_or_lacks_the_metric_is_left_out_and_named(store, tmp_path):
    config = {"method": {"name": "iql"}, "world": {"name": "pendulum"}, "data": None}
    lacking = RunFolder.create(tmp_path / "lacking", config, seeds=[0])
    with lacking.seed(0).record() as recorder:
        recorder.log(1, 1, "online", {"loss/critic": 1.0})
    running = RunFolder.create(tmp_path / "running", config, seeds=[0])
    with running.seed(0).record():
        (arm,) = select([store, tmp_path], Filters.parse(["iql"]))
    assert len(arm.curves["pendulum"]) == 4
    assert [line.partition(": ")[2] for line in arm.skipped] == ["running", "has no evaluation/return"]
    with pytest.raises(UsageError, match="has no run in ant"):
        select([store], Filters.parse(["iql"]), ["ant"])
    with pytest.raises(UsageError, match="different labels"):
        compare([arm, arm], "return")


def test_worlds_that_libraries_name_differently_are_one_by_their_place(store, tmp_path, capsys):
    given = ["plot", str(store), "--filters", "iql", "--filters", "sac", "--out", str(tmp_path / "figure")]
    assert main([*given, "--worlds", "pendulum", "--env-ids", "mountain-car"]) == 0
    capsys.readouterr()
    table = pl.read_csv(tmp_path / "figure.csv")
    assert table["arm"].to_list() == ["iql", "sac"]
    assert any("pendulum" in column for column in table.columns)
    assert not any("mountain-car" in column for column in table.columns)
    assert main([*given, "--worlds", "pendulum", "--worlds", "pendulum", "mountain-car"]) == 2
    assert "as many worlds each" in capsys.readouterr().err
