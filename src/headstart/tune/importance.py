"""Which hyper-parameters mattered: what the good trials have in common that the others have not."""

from __future__ import annotations

import math

import optuna

from headstart.tune.tuning import Tuning

LEAST_TRIALS = 8
"""Fewer trials say nothing about importance."""


def importances(tuning: Tuning, quantile: float = 0.25) -> dict[str, float]:
    """Share of each searched field in what sets the best trials apart, the greatest first; shares sum to 1.

    By PED-ANOVA (Watanabe et al., 2023), on trials that were trained to the end.

    Args:
        tuning: the search.
        quantile: part of the trials that count as the best.

    Returns:
        Shares by name; empty with fewer than ``LEAST_TRIALS`` finished trials, or where all scored alike.
    """
    setup, history = tuning.setup, tuning.history
    trials = [trial for trial in history.trials.values() if history.state(trial) == "finished"]
    scores = [trial.score() for trial in trials]
    if len(trials) < LEAST_TRIALS or len(set(scores)) == 1:
        return {}
    study = optuna.create_study(direction="maximize")
    distributions: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.FloatDistribution(0.0, 1.0) for name in setup.space.domains
    }
    for trial, score in zip(trials, scores, strict=True):
        point = setup.space.to_unit(setup.space.clipped(trial.configuration))
        values = dict(zip(setup.space.domains, map(float, point)))
        study.add_trial(optuna.trial.create_trial(params=values, distributions=distributions, value=score))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=quantile)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: share for name, share in shares.items() if math.isfinite(share)}
