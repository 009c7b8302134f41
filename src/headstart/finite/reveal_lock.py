"""A lock whose combination shows only to those who pay: hard to learn although observations reveal the state.

The ingredients are those of the lower bounds for revealing POMDPs (Chen, Wang, Xiong, Mei and Bai 2023, arXiv
2302.01333), the construction is our own. One of many (leaf, action) pairs tips a hidden coin slightly to the good side;
the coin stays as it is only while a password is entered rightly, symbol by symbol, which nothing seen confirms; in the
end the good side pays. One action instead reveals the coin, by a single draw from one of two distributions that are
nearly uniform and unknown, and forfeits the pay. So telling the right pair from the others is testing uniformity.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from headstart.core.errors import UsageError
from headstart.finite.pomdp import FinitePOMDP


@dataclass(frozen=True, eq=False)
class RevealLock:
    """The world and its secrets.

    Steps, from 0: choose a leaf; choose an action (its pair decides the coin); ``len(password)`` times enter a symbol,
    or reveal; be paid. An action beyond those that a step offers counts as its last one.
    """

    leaf: int
    """Of the pair that tips the coin."""
    action: int
    """Of the pair that tips the coin."""
    password: tuple[int, ...]
    signs: tuple[int, ...]
    """One of -1 and 1 for each revealed symbol, summing to 0: the good side favours those with 1."""
    leaves: int = 4
    actions: int = 2
    """Actions at a leaf, and symbols of the password's alphabet."""
    sigma: float = 0.9
    """How far from uniform the revealed symbols are, in [0, 1]; the revealing constant."""
    epsilon: float = 0.4
    """How much the right pair tips the coin, in [0, 1/2]."""
    access: Literal["reveal", "free", "none"] = "reveal"
    """``free``: symbols are seen at every step of the lock, at no cost. ``none``: never."""

    def __post_init__(self) -> None:
        signs = np.asarray(self.signs)
        if len(signs) < 2 or signs.sum() != 0 or not np.isin(signs, (-1, 1)).all():
            raise UsageError(f"signs are {self.signs}; expected as many 1 as -1, at least one of each")
        if not (0 <= self.sigma <= 1 and 0 <= self.epsilon <= 0.5):
            raise UsageError(f"sigma is {self.sigma} and epsilon {self.epsilon}; expected them in [0, 1] and [0, 0.5]")
        secrets = (self.action, *self.password)
        if not (0 <= self.leaf < self.leaves and all(0 <= each < self.actions for each in secrets)):
            raise UsageError(
                f"the secrets are leaf {self.leaf}, action {self.action}, password {self.password}; this lock has "
                f"{self.leaves} leaves and {self.actions} actions"
            )
        if self.access not in ("reveal", "free", "none"):
            raise UsageError(f"access is {self.access!r}; choose reveal, free or none")

    @classmethod
    def random(
        cls,
        generator: np.random.Generator,
        leaves: int = 4,
        actions: int = 2,
        length: int = 10,
        pairs: int = 8,
        sigma: float = 0.9,
        epsilon: float = 0.4,
        access: Literal["reveal", "free", "none"] = "reveal",
    ) -> RevealLock:
        """A lock with random secrets.

        Args:
            generator: source of the secrets.
            leaves: number of leaves.
            actions: at a leaf, and symbols of the password.
            length: of the password.
            pairs: half the number of symbols that are revealed.
            sigma: how far from uniform those are.
            epsilon: how much the right pair tips the coin.
            access: ``reveal``, ``free`` or ``none``.
        """
        signs = generator.permutation(np.repeat([-1, 1], pairs))
        password = tuple(int(symbol) for symbol in generator.integers(actions, size=length))
        leaf, action = int(generator.integers(leaves)), int(generator.integers(actions))
        return cls(leaf, action, password, tuple(signs.tolist()), leaves, actions, sigma, epsilon, access)

    @property
    def reveal(self) -> int:
        """The action that reveals, at a step of the lock."""
        return self.actions

    @property
    def symbols(self) -> int:
        """Number of symbols that may be revealed."""
        return len(self.signs)

    @property
    def first_symbol(self) -> int:
        """The observation that is symbol 0; the others follow it."""
        return self.leaves + 2

    @property
    def optimal_value(self) -> float:
        """Of the right pair followed by the password."""
        return 0.5 + self.epsilon

    @property
    def solution(self) -> Int[np.ndarray, " horizon"]:
        """The best actions; the last, when pay is received, does not matter."""
        return np.array([self.leaf, self.action, *self.password, 0])

    def revealed(self, tipped: bool) -> Float[np.ndarray, " symbols"]:
        """What reveals show: slightly off uniform after the right pair and prefix, exactly uniform after any other."""
        return (1 + 2 * self.epsilon * self.sigma * tipped * np.asarray(self.signs)) / self.symbols

    @cached_property
    def world(self) -> FinitePOMDP:
        """The world. States: start, leaves, good, bad, good revealed, bad revealed, end. Observations: nothing to see,
        the leaves, the lock, the symbols."""
        steps, good, bad = len(self.password) + 3, self.leaves + 1, self.leaves + 2
        good_shown, bad_shown, end = good + 2, bad + 2, good + 4
        one, count = np.eye(end + 1), max(self.leaves, self.actions + (self.access == "reveal"))
        action, coin = np.arange(count), 0.5 * (one[good] + one[bad])
        chosen = np.minimum(action, self.actions - 1)
        reveals = action >= self.reveal if self.access == "reveal" else np.zeros(count, bool)

        transition = np.zeros((steps, end + 1, count, end + 1))
        transition[..., end] = 1.0
        transition[0, 0] = one[1 + np.minimum(action, self.leaves - 1)]
        transition[1, 1:good] = coin
        transition[1, 1 + self.leaf, chosen == self.action] = coin + self.epsilon * (one[good] - one[bad])
        for step, symbol in enumerate(self.password, start=2):
            transition[step, good:good_shown] = coin
            right = (chosen == symbol) & ~reveals
            for state, shown in ((good, good_shown), (bad, bad_shown)):
                transition[step, state, right] = one[state]
                transition[step, state, reveals] = one[shown]
        reward = np.zeros((steps, end + 1, count))
        reward[-1, good] = 1.0
        return FinitePOMDP.of(transition, self._emission(end + 1), reward, steps)

    def _emission(self, states: int) -> Float[np.ndarray, "states observations"]:
        good, bad, good_shown, bad_shown, end = range(self.leaves + 1, self.leaves + 6)
        emission = np.zeros((states, self.first_symbol + self.symbols))
        emission[[*range(self.leaves + 1), end], [*range(self.leaves + 1), 0]] = 1.0
        tilt = self.sigma * np.asarray(self.signs)
        emission[good_shown, self.first_symbol :] = (1 + tilt) / self.symbols
        emission[bad_shown, self.first_symbol :] = (1 - tilt) / self.symbols
        emission[[good, bad], self.leaves + 1] = 1.0
        if self.access == "free":
            emission[[good, bad]] = emission[[good_shown, bad_shown]]
        return emission
