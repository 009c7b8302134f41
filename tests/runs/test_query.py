import subprocess
import sys

import pytest

from headstart.core.errors import UsageError
from headstart.runs.folder import RunFolder
from headstart.runs.index import find_runs, index, tag
from headstart.runs.query import Condition, runs_table, sql, with_fields


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def store(tmp_path):
    for number, (method, world, data, finish) in enumerate(
        [
            ("iql", "Hopper-v5", "hopper-medium", True),
            ({"name": "wsrl", "discount": 0.99}, "Hopper-v5", {"name": "hopper-expert"}, True),
            ("sac", "HalfCheetah-v5", None, False),
        ]
    ):
        config = {"method": method, "world": world, "data": data}
        run = RunFolder.create(tmp_path / "a" / str(number), config, seeds=[0, 1])
        for seed in run.seed_folders() if finish else []:
            with seed.record() as recorder:
                values = {"evaluation/return": 100.0 * number + seed.seed, "evaluation/score": 50.0}
                recorder.log(10 + seed.seed, 20, "online", values)
    return tmp_path


def test_every_run_is_listed_once_oldest_first(store):
    table = runs_table([store, store / "a", store / "a" / "1"])
    assert table["method"].to_list() == ["iql", "wsrl", "sac"]
    assert table["world"].to_list() == ["Hopper-v5", "Hopper-v5", "HalfCheetah-v5"]
    assert table["data"].to_list() == ["hopper-medium", "hopper-expert", None]
    assert table["state"].to_list() == ["finished", "finished", "waiting"]
    assert table["last_return"].to_list() == [0.5, 100.5, None]
    assert table["last_score"].to_list() == [50.0, 50.0, None]
    assert table["updates"].to_list() == [10, 10, 0]
    assert table["seeds"].to_list() == [2, 2, 2]


@pytest.mark.parametrize(
    ("conditions", "methods"),
    [
        (["method=IQL"], ["iql"]),
        (["world=hopper*"], ["iql", "wsrl"]),
        (["world=hopper*", "data=*expert"], ["wsrl"]),
        (["world!=hopper*"], ["sac"]),
        (["state=waiting"], ["sac"]),
        (["data=*"], ["iql", "wsrl"]),
        (["data!=*"], ["sac"]),
        (["method=ppo"], []),
        (["method=sac", "method = iql"], ["iql", "sac"]),
        (["method=sac", "method=iql", "world=Hopper-v5"], ["iql"]),
        (["last_return>=0.5"], ["iql", "wsrl"]),
        (["last_return > 0.5"], ["wsrl"]),
        (["last_return<100"], ["iql"]),
        (["seeds=2.0"], ["iql", "wsrl", "sac"]),
        (["method.discount=0.990"], ["wsrl"]),
        (["discount<1"], ["wsrl"]),
        (["discount!=0.99"], ["iql", "sac"]),
        (["tag=good"], ["iql", "sac"]),
        (["tag=good", "tag=old"], ["sac"]),
        (["tags!=old"], ["iql", "wsrl"]),
        (["packages.polars=*"], ["iql", "wsrl", "sac"]),
    ],
)
def test_conditions_have_all_to_hold(store, conditions, methods):
    assert tag(store / "a" / "0", ["good"]) == ["good"]
    tag(store / "a" / "2", ["old", "good", "x"])
    assert tag(store / "a" / "2", remove=["x"]) == ["good", "old"]
    table = runs_table([store], [Condition.parse(condition) for condition in conditions])
    assert table["method"].to_list() == methods


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("methods=iql", "did you mean method"),
        ("method.discont=1", "did you mean method.discount"),
        ("method", "is no condition"),
        ("created<yesterday", "needs a number"),
    ],
)
def test_a_condition_that_cannot_work_is_refused(store, condition, message):
    with pytest.raises(UsageError, match=message):
        runs_table([store], [Condition.parse(condition)])


def test_what_was_read_is_kept_and_what_changed_is_read_again(store, monkeypatch):
    first = index([store])
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "open", lambda path: pytest.fail(f"{path} was read again"))
        assert index([store]).equals(first)
    with RunFolder.open(store / "a" / "2").seed(0).record() as recorder:
        recorder.log(7, 8, "online", {"evaluation/return": 9.0})
    (store / "a" / "0" / "run.json").unlink()
    assert index([store])["last_return"].to_list() == [100.5, 9.0]
    tag(store / "a" / "1", ["new"])
    assert index([store])["tags"].to_list() == [["new"], []]


def test_fields_become_columns_and_are_asked_for_by_sql(store):
    table = with_fields(index([store]), ["method", "discount"])
    assert table.rows() == [("iql", None), ("wsrl", 0.99), ("sac", None)]
    asked = sql([store], 'SELECT world, count(*) AS n, max("method.discount") AS d FROM runs GROUP BY world ORDER BY n')
    assert asked.rows() == [("HalfCheetah-v5", 1, None), ("Hopper-v5", 2, 0.99)]
    with pytest.raises(UsageError, match="cannot be run"):
        sql([store], "SELECT nothing FROM runs")


def test_a_damaged_run_is_shown_and_hides_no_other(store):
    (store / "a" / "1" / "run.json").write_text("{")
    (store / "a" / "2" / "seed-0" / "status.json").write_text("{")
    table = runs_table([store]).sort("path")
    assert table["state"].to_list() == ["finished", "damaged", "damaged"]
    assert "run.json" in table["problem"][1]
    assert "status.json" in table["problem"][2]


def test_a_failed_run_says_how(store):
    seed = RunFolder.open(store / "a" / "2").seed(1)
    with pytest.raises(ValueError, match="odd"), seed.record():
        raise ValueError("odd")
    table = runs_table([store], [Condition("state", "=", "failed")])
    assert table["problem"].to_list() == ["ValueError: odd"]


def test_an_empty_store(tmp_path):
    assert [*find_runs(tmp_path), *find_runs(tmp_path / "none")] == []
    assert runs_table([tmp_path]).height == 0


def test_listing_loads_no_array_library(store):
    program = (
        "import sys; from headstart.runs.query import runs_table; assert runs_table([sys.argv[1]]).height == 3;"
        "heavy = {'jax', 'gymnasium', 'torch', 'matplotlib', 'plotly', 'scipy'} & set(sys.modules); assert not heavy"
    )
    subprocess.run([sys.executable, "-c", program, str(store)], check=True)
