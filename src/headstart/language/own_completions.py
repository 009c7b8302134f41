"""The policy's own completions beside recorded rows, for methods that learn from both."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headstart.core.encoding import Encoded
from headstart.language.encoded_rows import EncodedRow
from headstart.language.hypo import HyPO
from headstart.language.learner import Learner
from headstart.language.sampler import Sampling


class OwnCompletions:
    """What HyPO's KL is estimated from: completions drawn from the policy as it is, at temperature 1.

    Args:
        seed: of prompts and completions.
        max_tokens: longest completion, in tokens.
        prompts: rows with a ``prompt`` that are completed, in shuffled passes; those of each batch by default.
        stop: strings that end a completion.
    """

    def __init__(
        self, seed: int, max_tokens: int, prompts: Sequence[Mapping[str, Any]] = (), stop: tuple[str, ...] = ()
    ):
        self.seed, self.sampling, self.prompts = seed, Sampling(max_tokens=max_tokens, stop=stop), list(prompts)

    def needed(self, learner: Learner) -> bool:
        """Whether the method learns from them at all."""
        return isinstance(learner.method, HyPO) and learner.method.kl_coef > 0

    def draw(self, rows: Sequence[EncodedRow], learner: Learner, step: int) -> list[EncodedRow]:
        """As many for each row of a batch, with the reference's log-probabilities; none for other methods."""
        method = learner.method
        if not isinstance(method, HyPO) or not self.needed(learner) or step % method.online_every:
            return []
        if method.generations == 1 and step == 0:
            warnings.warn("HyPO's KL has no baseline with generations=1, so it varies much; draw 2", stacklevel=3)
        prompts = [next(iter(row.sides.values())).prompt for row in rows]
        if self.prompts:
            prompts = [learner.encoder.encode_prompt(row["prompt"]) for row in self._drawn(len(rows), step)]
        seed = int(np.random.SeedSequence((self.seed, 11, step)).generate_state(1, np.uint32)[0])
        groups = learner.draw(prompts, method.generations, self.sampling, seed)
        cut = [sample.truncated for samples in groups for sample in samples]
        if sum(cut) > 0.1 * len(cut):
            warnings.warn(
                f"over a tenth of HyPO's completions are cut at {self.sampling.max_tokens} tokens: the KL is of their"
                " beginnings alone; allow them more tokens",
                stacklevel=3,
            )
        fresh = [
            EncodedRow({"online": Encoded(prompt, sample.ids, sample.truncated)})
            for prompt, samples in zip(prompts, groups, strict=True)
            for sample in samples
        ]
        return learner.referred(fresh)

    def _drawn(self, count: int, step: int) -> list[Mapping[str, Any]]:
        total = len(self.prompts)
        places = range(step * count, (step + 1) * count)
        orders = {
            number: np.random.default_rng((self.seed, 13, number)).permutation(total)
            for number in {place // total for place in places}
        }
        return [self.prompts[orders[place // total][place % total]] for place in places]
