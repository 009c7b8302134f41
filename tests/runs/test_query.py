import subprocess
import sys

import pytest

from headstart.core.errors import UsageError
from headstart.runs.folder import RunFolder
from headstart.runs.query import find_runs, runs_table


@pytest.fixture
def store(tmp_path):
    for index, (method, world, data, finish) in enumerate(
        [
            ("iql", "Hopper-v5", "hopper-medium", True),
            ({"name": "wsrl", "discount": 0.99}, "Hopper-v5", {"name": "hopper-expert"}, True),
            ("sac", "HalfCheetah-v5", None, False),
        ]
    ):
        config = {"method": method, "world": world, "data": data}
        run = RunFolder.create(tmp_path / "a" / str(index), config, seeds=[0, 1])
        for seed in run.seed_folders() if finish else []:
            with seed.record() as recorder:
                values = {"evaluation/return": 100.0 * index + seed.seed, "evaluation/score": 50.0}
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
    ("filters", "methods"),
    [
        ({"method": "IQL"}, ["iql"]),
        ({"world": "hopper*"}, ["iql", "wsrl"]),
        ({"world": "hopper*", "data": "*expert"}, ["wsrl"]),
        ({"state": "waiting"}, ["sac"]),
        ({"data": "*"}, ["iql", "wsrl"]),
        ({"method": "ppo"}, []),
    ],
)
def test_filters_have_all_to_match(store, filters, methods):
    assert runs_table([store], filters)["method"].to_list() == methods


def test_an_unknown_column_is_refused_with_the_nearest(store):
    with pytest.raises(UsageError, match="did you mean method"):
        runs_table([store], {"methods": "iql"})


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
    table = runs_table([store], {"state": "failed"})
    assert table["problem"].to_list() == ["ValueError: odd"]


def test_an_empty_store(tmp_path):
    assert find_runs([tmp_path, tmp_path / "none"]) == []
    assert runs_table([tmp_path]).height == 0


def test_listing_loads_no_array_library(store):
    program = (
        "import sys; from headstart.runs.query import runs_table; assert runs_table([sys.argv[1]]).height == 3;"
        "heavy = {'jax', 'gymnasium', 'torch', 'matplotlib', 'plotly', 'scipy'} & set(sys.modules); assert not heavy"
    )
    subprocess.run([sys.executable, "-c", program, str(store)], check=True)
