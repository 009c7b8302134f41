"""What a search found, in words: the choice, what it scored where, what it cost, and the facts a paper has to state."""

from __future__ import annotations

import numpy as np

from headstart.evaluate.statistics import Interval
from headstart.tune.setup import SAMPLERS
from headstart.tune.tuning import Tuning


def summary(tuning: Tuning) -> str:
    """A few lines for the terminal."""
    best = tuning.incumbent
    lines = [f"{name}: {value}" for name, value in checklist(tuning).items()]
    if best is None:
        return "\n".join(["no trial is finished yet", *lines])
    values = ", ".join(f"{name} {number(value)}" for name, value in best.configuration.items())
    head = [f"best of {len(tuning.history.trials)} trials: number {best.number} ({values})", *verdict(tuning)]
    return "\n".join([*head, *lines])


def verdict(tuning: Tuning) -> list[str]:
    """What the incumbent scored on both kinds of seeds, how far apart they are, and the gain over the default."""
    tuned, tested = tuning.tuning_scores, tuning.test_scores()
    lines = [f"tuning seeds, by which it was chosen: {_mean(tuned)}"]
    if not len(tested):
        return [*lines, "test seeds: not tested, so nothing is known of how good it is"]
    lines.append(f"test seeds, which it never saw: {_mean(tested)}; report this one")
    failed = tuning.history.tests["incumbent"].errors
    if failed:
        lines.append(f"failed with test seeds {', '.join(map(str, sorted(failed)))}, which are not in the mean")
    if tuning.gap is not None:
        lines.append(f"gap (tuning minus test): {interval(tuning.gap)}")
    if tuning.gain is not None:
        lines.append(f"gain over the default on the test seeds: {interval(tuning.gain)}")
    return lines


def checklist(tuning: Tuning) -> dict[str, str]:
    """What to report of a search so that it can be judged and repeated (Eimer et al., 2023, appendix)."""
    setup, history = tuning.setup, tuning.history
    tests = history.tests.values()
    states = [history.state(trial) for trial in history.trials.values()]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    whole = setup.full * len(setup.tuning_seeds)
    seconds = sum(trial.seconds for trial in history.trials.values()) + sum(test.seconds for test in tests)
    return {
        "searched": "; ".join(f"{name} in {domain}" for name, domain in setup.space.domains.items()),
        "sampler": f"{setup.sampler}, {SAMPLERS[setup.sampler]}"
        + ("" if setup.pruner == "none" else f"; pruner {setup.pruner}"),
        "tuning seeds": ", ".join(map(str, setup.tuning_seeds)),
        "test seeds": ", ".join(map(str, setup.test_seeds)) or "none",
        "trials": counts or "none",
        "spent on tuning": f"{history.spent:,} of {setup.budget:,} steps, "
        f"{history.spent / whole:.3g} of {setup.trials} whole trials",
        "spent on testing": f"{sum(test.spent for test in tests):,} steps",
        "time of all workers": f"{seconds:,.0f} s",
        "seed of the search": str(setup.seed),
    }


def interval(value: Interval) -> str:
    """An estimate and, where known, its bounds."""
    estimate, low, high = (float(part) for part in value)
    return number(estimate) + (f" [{number(low)}, {number(high)}]" if low == low else "")


def number(value: object) -> str:
    """A value in few digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _mean(scores: np.ndarray) -> str:
    return f"{number(float(scores.mean()))} (mean of {len(scores)}, {number(scores.min())} to {number(scores.max())})"
