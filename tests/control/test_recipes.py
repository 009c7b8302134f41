"""Recipes: sizes, behaviour levels, repeatability, and builds that are whole or not there."""

import numpy as np
import pytest

from headstart.control.recipes import locomotion
from headstart.control.recipes.behaviours import Behaviour
from headstart.control.recipes.catalogue import NOT_BUILT, RECIPES, find_recipe
from headstart.control.recipes.grids import Planner
from headstart.control.recipes.recipe import Recipe
from headstart.control.recipes.recording import of_episodes, record, uniform
from headstart.control.sac import SAC
from headstart.core.errors import CheckpointError, DataError, UsageError
from headstart.data.catalogue import CATALOGUE
from headstart.data.registry import built_folder, load
from headstart.envs.registry import make, make_environment


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADSTART_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A behaviour run so short that only its bookkeeping can be tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(tmp_path_factory.mktemp("cache")))
        behaviour = Behaviour(
            "Hopper-v5",
            120,
            method=SAC(hidden=(8,), batch_size=8),
            random_steps=40,
            evaluate_every=40,
            evaluate_episodes=1,
        )
        yield behaviour.train(show_progress=False)


def test_every_dataset_of_the_catalogue_has_a_recipe_or_a_reason():
    for name, entry in CATALOGUE.items():
        assert name in RECIPES or entry.family in NOT_BUILT


def test_controllers_and_noise_order_the_returns_of_small_worlds():
    means = {}
    for kind in ("random", "medium", "medium-replay", "expert"):
        find_recipe(f"pendulum-{kind}").build(show_progress=False)
        means[kind] = load(f"pendulum-{kind}").returns().mean()
    assert means["random"] < means["medium-replay"] < means["medium"] < means["expert"]
    assert means["expert"] > -250


def test_a_number_of_transitions_is_kept_exactly_and_parts_keep_their_shares():
    folder = find_recipe("mountain-car-mixed").build(1000, show_progress=False)
    data = load(str(folder))
    assert len(data) == 1000
    assert data.truncations[799]  # the random part is cut where the controller's begins
    assert not data.terminations[:800].any()
    assert data.metadata["recipe"] == "mountain-car-mixed"
    assert data.metadata["reference"]["low"] == -200.0


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(tmp_path):
    recipe = find_recipe("lava-gap-noisy")
    first, again, other = (
        load(str(recipe.build(300, seed, tmp_path / name, show_progress=False)))
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first.digest() == again.digest() != other.digest()


def test_building_again_returns_what_is_there_but_never_replaces_it():
    recipe = find_recipe("pendulum-random")
    folder = recipe.build(400, show_progress=False)
    assert recipe.build(400, show_progress=False) == folder == built_folder("pendulum-random")
    with pytest.raises(UsageError, match="holds recipe pendulum-random, seed 0, asked_transitions 400"):
        recipe.build(500, show_progress=False)


def test_a_build_that_fails_leaves_nothing(tmp_path):
    def broken(transitions, seed, show_progress):
        recording = find_recipe("pendulum-random").record(transitions, seed, show_progress)

        def rows():
            yield from recording.rows
            raise OSError("No space left on device")

        return recording._replace(rows=rows())

    target = tmp_path / "broken"
    with pytest.raises(DataError, match="No space left"):
        Recipe("broken", "pendulum", "", 100, "", broken).build(folder=target, show_progress=False)
    assert list(tmp_path.iterdir()) == []


def test_recording_host_worlds_gives_whole_episodes_of_equal_time():
    worlds = make("Hopper-v5", 3, seed=0)
    parts = list(record(worlds, uniform(worlds.spec, 3, 0), 200))
    lengths = [len(rows["rewards"]) for rows in parts]
    assert sum(lengths) == 200
    assert all(rows["terminations"][-1] or rows["truncations"][-1] for rows in parts)
    for rows in parts:
        np.testing.assert_array_equal(rows["next_observations"][:-1], rows["observations"][1:])


def test_levels_of_a_behaviour_run_are_kept_and_its_replay_is_in_order(trained):
    assert [kept.progress for kept in trained.levels.all()] == [80, 120]
    replay = trained.replay()
    assert len(replay) == 120
    assert len(trained.replay(80)) == 80
    going_on = ~(replay.terminations | replay.truncations)[:-1]
    np.testing.assert_array_equal(replay.next_observations[:-1][going_on], replay.observations[1:][going_on])
    best = trained.expert()
    assert best.evaluation == max(kept.score for kept in trained.levels.all())
    assert trained.policy(best)(replay.observations[:5]).shape == (5, 3)
    with pytest.raises(CheckpointError, match="a third of the reference return of Hopper-v5"):
        trained.medium()


def test_a_part_of_a_replay_is_whole_episodes_in_order_of_time(trained):
    replay = trained.replay()
    (rows,) = of_episodes(replay, 60, seed=0)
    assert len(rows["rewards"]) == 60
    places = [np.flatnonzero((replay.observations == row).all(1))[0] for row in rows["observations"]]
    assert places == sorted(places)


def test_more_than_a_run_collected_is_refused(trained, monkeypatch):
    monkeypatch.setattr(Behaviour, "train", lambda *arguments, **options: trained)
    with pytest.raises(UsageError, match="collected 120"):
        locomotion._replayed(locomotion.BEHAVIOURS["hopper"], "expert", 1000, 0, False)


def test_the_planner_walks_the_shortest_way_to_the_goal():
    pytest.importorskip("minigrid")
    environment = make_environment("headstart.envs.grids:four_rooms")
    observation, _ = environment.reset(seed=3)
    assert observation.shape == (161,)
    assert observation.min() >= 0
    assert observation.max() <= 1
    world = environment.unwrapped
    planner = Planner(world)
    expected = planner._distances[(*map(int, world.agent_pos), int(world.agent_dir))]
    for step in range(1, expected + 1):
        _, reward, terminated, _, _ = environment.step(planner.action(None))
        assert terminated == (step == expected)
    assert reward > 0


def test_the_bot_reaches_what_the_mission_names():
    pytest.importorskip("minigrid")
    recording = find_recipe("babyai-go-to-red-ball-expert").record(120, 0, False)
    episodes = list(recording.rows)
    assert np.mean([rows["rewards"].sum() > 0 for rows in episodes if rows["terminations"][-1]]) == 1.0
    assert sum(len(rows["rewards"]) for rows in episodes) == 120


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("antmaze-umaze", "not built here.*antmaze-umaze-v2 or D4RL/antmaze/umaze-v1"),
        ("hopper-medium-v2", "'hopper-medium' is built here"),
        ("pendulum-expart", "did you mean pendulum-expert"),
    ],
)
def test_names_without_a_recipe_are_answered(name, message):
    with pytest.raises(UsageError, match=message):
        find_recipe(name)
