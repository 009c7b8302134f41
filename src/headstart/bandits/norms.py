"""Which guarantee of a learner breaks where features are longer than its analysis assumes."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike

from headstart.bandits.bandit import Learner

ASSUMED = {
    "LinUCB": (
        "the radius of the confidence ellipsoid (theorem 2 of Abbasi-Yadkori, Pál and Szepesvári, 2011), in which "
        "log(1 + steps norm^2 / (ridge features)) stands with norm 1, is too narrow"
    ),
    "LinThompson": (
        "the regret bound (theorem 1 of Agrawal and Goyal, 2013), which is stated for norms of at most 1, does not hold"
    ),
    "NeuSquareCB": "the regret bound of arXiv 2312.07145, stated for contexts of norm 1, does not hold",
    "NeuFastCB": "the regret bound of arXiv 2312.07145, stated for contexts of norm 1, does not hold",
    "NeuralUCB": "the confidence width of Zhou et al., 2020, stated for contexts of norm 1, is too narrow",
    "NeuralThompson": "the regret bound of Zhang et al., 2021, stated for contexts of norm 1, does not hold",
}
"""By the name of a learner's class: what is stated for features of norm at most 1."""


def warn_of_norms(learner: Learner, features: ArrayLike) -> None:
    """Warn if features are longer than a learner's analysis assumes, and say which of its bounds breaks.

    Learners that assume nothing about norms (EXP4, whose context is experts' advice, and those that ignore contexts)
    are not warned of. A class of one's own counts as what it derives from.
    """
    breaks = next((ASSUMED[kind.__name__] for kind in type(learner).__mro__ if kind.__name__ in ASSUMED), None)
    longest = float(np.max(np.linalg.norm(np.asarray(features), axis=-1), initial=0.0))
    if breaks is not None and longest > 1.0 + 1e-4:
        warnings.warn(
            f"a feature vector has norm {longest:.4g}, above 1: {breaks}; divide all features by {longest:.4g}",
            stacklevel=4,
        )
