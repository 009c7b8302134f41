"""UCBVI that starts from recorded data: optimism's way of using them, and the baseline of designed experiments."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.core.errors import DataError
from headstart.finite.bpi_ucbvi import BPIUCBVI
from headstart.finite.episodes import Counts
from headstart.finite.identification import Identified, Plan, identify, mean_rewards
from headstart.finite.mdp import FiniteMDP


@dataclass(frozen=True)
class WarmStartUCBVI(BPIUCBVI):
    """Plays what is best under upper bounds made of recorded and own episodes, until the bounds of its value meet.

    Recorded data count as if it had played them itself. That is all it makes of them: it goes on playing what could be
    best, where ``ftpedel.FTPedel`` plays what tells most.
    """

    def continue_from(self, world: FiniteMDP, offline: Counts, seed: int = 0) -> Identified:
        """Explore the world, told its rewards, until the policy is certified to be ``epsilon``-optimal.

        Args:
            world: only ever played.
            offline: counts of recorded episodes of this world, by step.
            seed: of the episodes.

        Returns:
            What was found; ``episodes`` and ``counts`` are of its own episodes only.

        Raises:
            UsageError: ``epsilon`` is not positive.
            DataError: the data are of a world of another shape.
        """
        shape = (world.horizon, world.states, world.actions, world.states)
        if offline.transitions.shape != shape:
            raise DataError(
                f"data were counted over {list(offline.transitions.shape)}; this world has {list(shape)} steps, "
                "states, actions and next states"
            )
        rewards = mean_rewards(world)

        def plan(own: Counts) -> Plan:
            both = Counts(offline.transitions + own.transitions, offline.reward_sums + own.reward_sums)
            return self.plan(world, rewards, both)

        return identify(world, plan, self.epsilon, seed, self.most_episodes)
