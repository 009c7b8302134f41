"""Policies of independent bits, as language models of two words, fitted by any language method's loss.

A string is a completion of one token a bit; the parameters are the bits' log-odds.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid

from headstart.envs.bit_strings import BitStrings
from headstart.language.method import LanguageMethod, LossBatch, Scored
from headstart.language.newton import newton

Strings = Int[np.ndarray, "string bit"]


def scored_bits(
    log_odds: Float[Tensor, " bit"], strings: Int[Tensor, "string bit"], reference: Float[Tensor, " bit"]
) -> Scored:
    """Log-probability of every bit of strings under a policy and under the reference."""
    signs = 2.0 * strings.double() - 1
    return Scored(
        logsigmoid(signs * log_odds),
        torch.ones(strings.shape, dtype=torch.bool),
        reference=logsigmoid(signs * reference),
    )


def fit_bits(
    method: LanguageMethod, world: BitStrings, sides: dict[str, Strings], steps: int = 12
) -> Float[np.ndarray, " bit"]:
    """Log-odds of the policy with the least loss on rows of strings, begun at the world's own model.

    Args:
        method: whose loss is minimised; the reference is the world's own model.
        world: the model that drew the strings.
        sides: strings by side, as the method wants them, such as ``chosen`` and ``rejected``.
        steps: of Newton's method; a bit that is the same in all rows of supervised learning goes on growing.
    """
    reference = torch.from_numpy(world.log_odds)
    rows = {name: torch.from_numpy(strings) for name, strings in sides.items()}

    def loss(log_odds: Float[Tensor, " bit"]) -> Float[Tensor, ""]:
        return method.loss(LossBatch({name: scored_bits(log_odds, part, reference) for name, part in rows.items()}))[0]

    return newton(loss, reference, steps).numpy()


def likeliest(world: BitStrings, candidates: Int[np.ndarray, "prompt candidate bit"]) -> Int[np.ndarray, "prompt bit"]:
    """Of each prompt's candidates the one that the model finds likeliest, the first of equals."""
    best = world.log_probability(candidates).argmax(-1)
    return candidates[np.arange(len(candidates)), best]
