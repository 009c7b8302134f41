"""A network over contexts of a bandit, improved in rounds of drawing, scoring and several steps on the same draws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headstart.core.errors import UsageError
from headstart.envs.hundred_arms import ARMS, CONTEXT, HundredArms
from headstart.language.ipo import IPO
from headstart.language.method import LanguageMethod, LossBatch
from headstart.language.policy_gradient import PPO
from headstart.language.sft import SFT
from headstart.language.tabular import row_losses, scored, side

Draws = Int[np.ndarray, "state group candidate"]


class ArmPolicy(torch.nn.Module):
    """Contexts to logits of arms: 50 normalised units, then two layers of 256."""

    def __init__(self, seed: int):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = torch.nn.Sequential(
                torch.nn.Linear(CONTEXT, 50),
                torch.nn.LayerNorm(50),
                torch.nn.ReLU(),
                torch.nn.Linear(50, 256),
                torch.nn.ReLU(),
                torch.nn.Linear(256, 256),
                torch.nn.ReLU(),
                torch.nn.Linear(256, ARMS),
            )

    def forward(self, contexts: Float[Tensor, "state context"]) -> Float[Tensor, "state arm"]:
        """Log-probabilities of the arms."""
        return torch.log_softmax(self.layers(contexts), -1)


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """Rounds of drawing and learning under a fixed number of draws and of gradient steps.

    Attributes:
        steps: gradient steps in all.
        reuse: steps of each round, on draws of the same policy; the first round draws from the reference.
        groups: of candidates drawn for each state in a round; None for as many as ``reuse``, which keeps the number
            of draws the same however often they are reused.
        candidates: of a group; pairs and the best are taken within groups.
        states: contexts that are trained on.
        learning_rate: of Adam.
        start: steps that bring the policy to the reference at the beginning.
    """

    steps: int = 200
    reuse: int = 1
    groups: int | None = None
    candidates: int = 10
    states: int = 10
    learning_rate: float = 1e-3
    start: int = 100

    def __post_init__(self) -> None:
        if self.reuse < 1 or self.steps % self.reuse:
            raise UsageError(f"{self.steps} steps do not divide into rounds of {self.reuse}")
        if self.candidates < 2:
            raise UsageError(f"candidates is {self.candidates}; pairs need 2 or more")

    def train(
        self, world: HundredArms, method: LanguageMethod, seed: int, positive: bool = False
    ) -> Float[np.ndarray, " round"]:
        """Mean exact reward in 100 fresh contexts, at the start and after each round.

        Args:
            world: the bandit.
            method: IPO learns from all pairs of a group, SFT from its best candidate; REINFORCE and PPO from all
                candidates, their rewards normalised over the round.
            seed: of everything.
            positive: raise those normalised rewards so that none is below zero.
        """
        generator = np.random.default_rng([seed, 61])
        contexts = torch.from_numpy(world.contexts(self.states, generator)).float()
        unseen = torch.from_numpy(world.contexts(100, generator)).float()
        reference = torch.from_numpy(world.reference).float().expand(self.states, -1)
        policy = start_at_reference(ArmPolicy(seed), contexts, reference, self.start)
        optimizer = torch.optim.Adam(policy.parameters(), lr=self.learning_rate)
        rewards = torch.from_numpy(world.rewards).float()
        curve = [_reward(policy, unseen, rewards)]
        groups = self.reuse if self.groups is None else self.groups
        for count in range(self.steps // self.reuse):
            with torch.no_grad():
                drawing = reference if count == 0 else policy(contexts)
            drawn = _draw(drawing, (groups, self.candidates), generator)
            loss = self.losses(world, method, drawn, drawing, reference, positive)
            for _ in range(self.reuse):
                optimizer.zero_grad()
                loss(policy(contexts)).backward()
                optimizer.step()
            curve.append(_reward(policy, unseen, rewards))
        return np.array(curve)

    def losses(
        self,
        world: HundredArms,
        method: LanguageMethod,
        drawn: Draws,
        drawing: Float[Tensor, "state arm"],
        reference: Float[Tensor, "state arm"],
        positive: bool,
    ) -> Callable[[Float[Tensor, "state arm"]], Float[Tensor, ""]]:
        """The method's mean loss over what was drawn, as a function of the policy's log-probabilities."""
        if isinstance(method, IPO):
            return _pair_loss(method, world, drawn, reference)
        if isinstance(method, SFT):
            best = np.take_along_axis(drawn, world.rewards[drawn].argmax(-1)[..., None], -1)
            return _completion_loss(method, best, drawing, {})
        score = world.rewards[drawn]
        advantage = (score - score.mean()) / (score.std() + 1e-8)
        if positive:
            advantage = advantage - advantage.min()
        return _completion_loss(method, drawn, drawing, {"advantage": torch.from_numpy(advantage).float().reshape(-1)})


def start_at_reference(
    policy: ArmPolicy, contexts: Float[Tensor, "state context"], reference: Float[Tensor, "state arm"], steps: int
) -> ArmPolicy:
    """Bring a policy to the reference by descending KL(policy || reference), as the experiment has it."""
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
    for _ in range(steps):
        shown = policy(contexts)
        optimizer.zero_grad()
        (shown.exp() * (shown - reference)).sum(-1).mean().backward()
        optimizer.step()
    return policy


def _pair_loss(
    method: LanguageMethod, world: HundredArms, drawn: Draws, reference: Float[Tensor, "state arm"]
) -> Callable[[Tensor], Tensor]:
    """Each distinct pair of unequal reward once, weighted by how often it was drawn."""
    first, second = np.triu_indices(drawn.shape[-1], 1)
    one, other = drawn[..., first].reshape(len(drawn), -1), drawn[..., second].reshape(len(drawn), -1)
    ahead = world.rewards[one] > world.rewards[other]
    states = np.broadcast_to(np.arange(len(drawn))[:, None], one.shape)
    counts = np.zeros((len(drawn), ARMS, ARMS))
    np.add.at(counts, (states, np.where(ahead, one, other), np.where(ahead, other, one)), 1.0)
    counts[:, world.rewards[:, None] == world.rewards[None]] = 0.0
    cells = np.nonzero(counts)
    rows, chosen, rejected = (torch.from_numpy(index) for index in cells)
    weights = torch.from_numpy(counts[cells] / counts.sum()).float()

    def loss(policy: Float[Tensor, "state arm"]) -> Float[Tensor, ""]:
        sides = {"chosen": side(policy, reference, rows, chosen), "rejected": side(policy, reference, rows, rejected)}
        return (weights * row_losses(method, sides)).sum()

    return loss


def _completion_loss(
    method: LanguageMethod, arms: Draws, drawing: Float[Tensor, "state arm"], fields: dict[str, Tensor]
) -> Callable[[Tensor], Tensor]:
    rows = torch.arange(len(arms)).repeat_interleave(arms[0].size)
    columns = torch.from_numpy(np.ascontiguousarray(arms.reshape(-1)))
    behavior = drawing[rows, columns]
    if isinstance(method, PPO):
        fields = fields | {"behavior": behavior[:, None]}

    def loss(policy: Float[Tensor, "state arm"]) -> Float[Tensor, ""]:
        return method.loss(LossBatch({"completion": scored(policy[rows, columns], behavior)}, fields))[0]

    return loss


def _draw(drawing: Float[Tensor, "state arm"], shape: tuple[int, int], generator: np.random.Generator) -> Draws:
    chances = drawing.double().exp().numpy()
    chances /= chances.sum(-1, keepdims=True)
    return np.stack([generator.choice(ARMS, size=shape, p=chance) for chance in chances])


def _reward(policy: ArmPolicy, contexts: Float[Tensor, "state context"], rewards: Float[Tensor, " arm"]) -> float:
    with torch.no_grad():
        return float((policy(contexts).exp() @ rewards).mean())
