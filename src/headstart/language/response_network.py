"""Small networks over features of responses, several methods trained side by side on the same batches.

Each policy is the reference tilted by a network's score of every response, and starts as the reference itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from headstart.core.errors import UsageError
from headstart.envs.preference_bandits import Pairs, PreferenceBandit
from headstart.language.hypo import HyPO
from headstart.language.method import LanguageMethod, LossBatch, Scored
from headstart.language.tabular import scored


class ResponseNetworks(torch.nn.Module):
    """Networks with two hidden tanh layers, one for each run; their outputs start at zero."""

    def __init__(self, runs: int, features: int, width: int, seed: int):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        sizes = [(features, width), (width, width)]
        # All runs start from the same weights.
        hidden = [torch.randn(size, generator=generator) / size[0] ** 0.5 for size in sizes]
        self.weights = torch.nn.ParameterList([layer.expand(runs, *layer.shape).clone() for layer in hidden])
        self.biases = torch.nn.ParameterList([torch.zeros(runs, 1, width) for _ in sizes])
        self.output = torch.nn.Parameter(torch.zeros(runs, width, 1))

    def forward(
        self, features: Float[Tensor, "prompt response feature"], reference: Float[Tensor, "prompt response"]
    ) -> Float[Tensor, "run prompt response"]:
        """Log-probabilities of the responses under every run's policy."""
        rows = features.reshape(-1, features.shape[-1])
        hidden = rows.expand(len(self.output), *rows.shape)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            hidden = torch.tanh(torch.baddbmm(bias, hidden, weight))
        scores = (hidden @ self.output).reshape(-1, *reference.shape)
        return torch.log_softmax(reference + scores, dim=-1)


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """How networks are fitted to pairs.

    Attributes:
        steps: of Adam.
        batch: pairs a step.
        width: of the hidden layers.
        learning_rate: of Adam.
        evaluate: steps after which the policies are kept.
    """

    steps: int = 1500
    batch: int = 64
    width: int = 64
    learning_rate: float = 1e-3
    evaluate: tuple[int, ...] = (1500,)

    def fit(
        self, world: PreferenceBandit, methods: Mapping[str, LanguageMethod], pairs: Pairs, seed: int
    ) -> dict[str, Float[np.ndarray, "evaluation prompt response"]]:
        """Train one network with each method, all from the same start and on the same batches.

        Args:
            world: gives features and the reference.
            methods: by name.
            pairs: the data.
            seed: of the weights, the batches, and whatever responses are drawn.

        Returns:
            Log-probabilities of each policy after the steps asked for.
        """
        if world.features is None:
            raise UsageError("the world has no features of its responses, which networks are trained on")
        torch.manual_seed(seed)
        generator = np.random.default_rng([seed, 31])
        features = torch.from_numpy(np.ascontiguousarray(world.features, np.float32))
        reference = torch.from_numpy(world.reference.astype(np.float32))
        data = [torch.from_numpy(np.asarray(column)) for column in pairs]
        networks = ResponseNetworks(len(methods), features.shape[-1], self.width, seed)
        optimizer = torch.optim.Adam(networks.parameters(), lr=self.learning_rate)
        kept: dict[str, list[np.ndarray]] = {name: [] for name in methods}
        for step in range(1, self.steps + 1):
            rows = torch.from_numpy(generator.integers(len(data[0]), size=self.batch))
            present, prompts = data[0][rows].unique(return_inverse=True)
            policies = networks(features[present], reference[present])
            drawn = _Drawn(prompts, data[1][rows], data[2][rows], reference[present])
            losses = [drawn.loss(method, policy) for method, policy in zip(methods.values(), policies, strict=True)]
            optimizer.zero_grad()
            torch.stack(losses).sum().backward()
            optimizer.step()
            if step in self.evaluate:
                with torch.no_grad():
                    tables = networks(features, reference).double().numpy()
                for name, table in zip(methods, tables, strict=True):
                    kept[name].append(table)
        return {name: np.stack(tables) for name, tables in kept.items()}


class _Drawn:
    """A minibatch, and the responses that all methods draw beside it by the same random numbers."""

    def __init__(
        self,
        prompts: Int[Tensor, " row"],
        chosen: Int[Tensor, " row"],
        rejected: Int[Tensor, " row"],
        reference: Float[Tensor, "prompt response"],
    ):
        self.prompts, self.chosen, self.rejected, self.reference = prompts, chosen, rejected, reference
        self.noise: list[Tensor] = []
        self.calibration = (reference[prompts] + self.gumbel(0)).argmax(-1)

    def gumbel(self, index: int) -> Float[Tensor, "row response"]:
        """Noise: its sum with log-probabilities is greatest at a response drawn from them; one table an index."""
        while len(self.noise) <= index:
            shape = (len(self.prompts), self.reference.shape[-1])
            self.noise.append(-torch.empty(shape).exponential_().log())
        return self.noise[index]

    def side(self, policy: Float[Tensor, "prompt response"], prompts: Tensor, responses: Tensor) -> Scored:
        return scored(policy[prompts, responses], self.reference[prompts, responses])

    def loss(self, method: LanguageMethod, policy: Float[Tensor, "prompt response"]) -> Float[Tensor, ""]:
        sides = {
            "chosen": self.side(policy, self.prompts, self.chosen),
            "rejected": self.side(policy, self.prompts, self.rejected),
            "calibration": self.side(policy, self.prompts, self.calibration),
        }
        if isinstance(method, HyPO):
            shown = policy.detach()[self.prompts]
            drawn = [(shown + self.gumbel(1 + i)).argmax(-1) for i in range(method.generations)]
            sides["online"] = self.side(
                policy, self.prompts.repeat_interleave(len(drawn)), torch.stack(drawn, -1).reshape(-1)
            )
        return method.loss(LossBatch(sides))[0]
