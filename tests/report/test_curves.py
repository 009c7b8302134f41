import numpy as np
import polars as pl
import pytest

from headstart.core.errors import DataError, UsageError
from headstart.evaluate.statistics import interquartile_mean, stratified_bootstrap
from headstart.report.curves import Curve, Span, curve_from_metrics, final_values, main_metric, read_curve, run_labels
from headstart.runs.folder import RunFolder


def table(rows):
    """Rows of (seed, value, phase, updates, environment steps, time), all of one metric."""
    columns = ("seed", "value", "phase", "updates", "environment_steps", "time")
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(name=pl.lit("evaluation/return"))


def test_the_last_value_at_each_x_counts():
    curve = curve_from_metrics(
        table(
            [
                (0, 1.0, "offline", 0, 0, 0.0),
                (0, 5.0, "offline", 100, 0, 1.0),
                (0, 6.0, "online", 100, 0, 1.5),
                (0, float("nan"), "online", 150, 50, 2.0),
                (0, 9.0, "online", 200, 100, 3.0),
            ]
        ),
        "evaluation/return",
        "environment_steps",
        "run",
    )
    assert curve.x.tolist() == [0.0, 100.0]
    assert curve.values.tolist() == [[6.0, 9.0]]
    assert curve.spans == (Span("online", 0.0, 100.0),)


def test_seeds_evaluated_at_different_steps_are_interpolated_where_all_have_data():
    rows = [(0, float(t), "online", t, t, float(t)) for t in (0, 10, 20)]
    rows += [(1, 2.0 * t, "online", t, t, float(t)) for t in (0, 5, 15)]
    curve = curve_from_metrics(table(rows), "evaluation/return", "updates", "run")
    assert curve.x.tolist() == [0.0, 5.0, 10.0, 15.0]
    np.testing.assert_allclose(curve.values, [[0, 5, 10, 15], [0, 10, 20, 30]])


def test_against_time_a_slow_and_a_fast_seed_are_matched_by_their_steps():
    rows = [(0, float(t), "online", 0, t, 1.0 * t) for t in (0, 10, 20)]
    rows += [(1, 2.0 * t, "online", 0, t, 3.0 * t) for t in (0, 10, 20)]
    curve = curve_from_metrics(table(rows), "evaluation/return", "time", "run")
    assert curve.x.tolist() == [0.0, 20.0, 40.0]
    assert curve.values.tolist() == [[0.0, 10.0, 20.0], [0.0, 20.0, 40.0]]


def test_a_policy_that_did_not_change_along_x_is_one_point():
    rows = [(seed, float(seed), "offline", 100, 0, 1.0 + seed) for seed in (0, 1)]
    for axis, x in (("environment_steps", 0.0), ("time", 1.5)):
        curve = curve_from_metrics(table(rows), "evaluation/return", axis, "run")
        assert curve.x.tolist() == [x]
        assert curve.values.tolist() == [[0.0], [1.0]]


def test_long_curves_are_thinned_but_keep_their_ends():
    rows = [(0, float(t), "online", t, t, float(t)) for t in range(3000)]
    curve = curve_from_metrics(table(rows), "evaluation/return", "updates", "run", points=50)
    assert len(curve.x) == 50
    assert (curve.x[0], curve.x[-1], curve.values[0, -1]) == (0.0, 2999.0, 2999.0)


def test_the_band_is_the_bootstrap_of_the_interquartile_mean():
    values = np.random.default_rng(0).normal(size=(8, 5))
    band = Curve("run", np.arange(5.0), values).band
    np.testing.assert_allclose(band.estimate, [interquartile_mean(values[:, i]) for i in range(5)])
    reference = stratified_bootstrap(values[:, 2], n=20_000)
    assert band.low[2] == pytest.approx(reference.low, abs=0.1)
    assert band.high[2] == pytest.approx(reference.high, abs=0.1)


def test_recorded_runs(runs):
    curve = read_curve(runs[0], "evaluation/score", "updates")
    assert curve.label == "wsrl"
    assert curve.values.shape == (4, 21)
    assert [(span.phase, span.start, span.end) for span in curve.spans] == [
        ("offline", 0, 1000),
        ("online", 1000, 2000),
    ]
    assert set(final_values(runs[0].metrics(), "evaluation/score")) == {0, 1, 2, 5}
    with pytest.raises(UsageError, match="did you mean evaluation/score"):
        read_curve(runs[0], "evaluation/scores")


def test_the_main_metric_is_one_that_all_share(runs):
    full, scratch = runs[0].metrics(), runs[1].metrics()
    assert main_metric([full, scratch]) == "evaluation/score"
    without = scratch.filter(pl.col("name") != "evaluation/score")
    assert main_metric([full, without]) == "evaluation/return"
    with pytest.raises(UsageError, match="share none"):
        main_metric([full, full.filter(pl.col("name") == "loss/critic")])


def test_labels_say_only_what_differs(tmp_path):
    def run(name, **config):
        return RunFolder.create(tmp_path / name, config)

    a = run("a", method="iql", data="x", world="w")
    b = run("b", method="sac", data="x", world="w")
    c = run("c", method="iql", data="y", world="w")
    assert run_labels([a, b]) == ["iql", "sac"]
    assert run_labels([a, c]) == ["iql · x", "iql · y"]
    assert run_labels([a, run("deep/a2", method="iql", data="x", world="w")]) == ["a", "a2"]
    assert run_labels([a, run("deep/a", method="iql", data="x", world="w")]) == [
        str(tmp_path / "a"),
        str(tmp_path / "deep/a"),
    ]


@pytest.mark.parametrize(
    ("x", "values"), [([0.0, 0.0], [[1.0, 2.0]]), ([0.0, 1.0], [[1.0]]), ([0.0, 1.0], [1.0, 2.0]), ([], [[]])]
)
def test_curves_that_are_none_are_refused(x, values):
    with pytest.raises(DataError, match="curve 'run'"):
        Curve("run", np.array(x), np.array(values))
