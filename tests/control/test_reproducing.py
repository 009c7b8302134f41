"""Reproducing: a run from its record alone, the same numbers or where they begin to differ."""

import polars as pl
import pytest

import headstart as hs
from headstart.cli import main
from headstart.control.reproducing import reproduce
from headstart.core.errors import UsageError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    method = hs.make_method("sac", hidden=(8,), batch_size=16)
    plan = [hs.warmup(50, "random"), hs.online(100)]
    settings = hs.Settings(log_every=50, evaluate_every=50, evaluate_episodes=2, checkpoint_every=100)
    folder = tmp_path_factory.mktemp("runs") / "first"
    return hs.train(
        method, world="pendulum", plan=plan, seeds=[3, 4], folder=folder, settings=settings, show_progress=False
    ).path


def test_the_same_numbers_bit_for_bit(run, capsys):
    assert main(["reproduce", str(run), "--quiet", "--workers", "1"]) == 0
    assert "the same numbers, bit for bit" in capsys.readouterr().out
    with pytest.raises(UsageError, match="exists already"):
        reproduce(run, show_progress=False)


def test_a_number_that_differs_is_named_with_its_place(run, tmp_path, capsys):
    part = next((run / "seed-4" / "metrics").glob("*.parquet"))
    content = part.read_bytes()
    table = pl.read_parquet(part)
    row = table.height // 2
    value = table["value"][row]
    changed = table.with_row_index().with_columns(
        pl.when(pl.col("index") == row).then(value + 1e-9).otherwise(pl.col("value")).alias("value")
    )
    changed.drop("index").write_parquet(part)
    outcome = reproduce(run, tmp_path / "again", seeds=[4], show_progress=False)
    part.write_bytes(content)
    (difference,) = outcome.differences
    assert (difference.seed, difference.name, difference.updates) == (4, table["name"][row], table["updates"][row])
    assert (difference.recorded, difference.found) == (value + 1e-9, value)


def test_seeds_that_it_has_not_are_refused(run, tmp_path):
    with pytest.raises(UsageError, match="no seed 9"):
        reproduce(run, tmp_path / "again", seeds=[9])
    assert not (tmp_path / "again").exists()
