"""A critic: what is still to be expected before each token of a completion."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from headstart.core.encoding import Encoded, collate
from headstart.core.errors import UsageError
from headstart.judges.reward_model import RewardModel
from headstart.language.log_probabilities import completions_of, spread


class Critic(torch.nn.Module):
    """A transformer with a linear head that is read wherever a token of a completion is about to come.

    Args:
        body: a transformer without its output head.
        padding: id that fills up.
        head: weights of the head, ``[1, width]``; zeros by default, so that it expects nothing at first.
    """

    def __init__(self, body: Any, padding: int, head: Float[Tensor, "1 width"] | None = None):
        super().__init__()
        embedding = body.get_input_embeddings().weight
        self.body, self.padding = body, padding
        self.head = torch.nn.Linear(embedding.shape[1], 1, bias=False, device=embedding.device)
        with torch.no_grad():
            self.head.weight.copy_(torch.zeros_like(self.head.weight) if head is None else head)

    def forward(self, rows: Sequence[Encoded]) -> Float[Tensor, "row token"]:
        """Values in float32; zero beyond a completion's end."""
        layout = completions_of(collate(list(rows), self.padding)).to(self.head.weight.device)
        states = self.body(input_ids=layout.ids, use_cache=False, **layout.attention()).last_hidden_state
        read = states.flatten(0, 1).index_select(0, layout.source).float()
        with torch.autocast(read.device.type, enabled=False):
            values = self.head(read).squeeze(-1)
        return spread(values, layout.lengths).policy


def make_critic(model: Any, tokenizer: Any, padding: int, begins_as: str, lora_rank: int = 0) -> Critic:
    """A critic to be trained beside a policy.

    Args:
        model: the policy.
        tokenizer: its tokenizer.
        padding: id that fills up.
        begins_as: ``policy``: a copy of its layers with a new head; otherwise the folder of a reward model.
        lora_rank: of adapters on its layers; 0 trains every weight.

    Raises:
        UsageError: the reward model reads other tokens than the policy writes.
    """
    head = None
    if begins_as == "policy":
        merged = copy.deepcopy(model)
        body = (merged.merge_and_unload() if hasattr(merged, "merge_and_unload") else merged).base_model
    else:
        judge = RewardModel.load(begins_as, device=str(next(model.parameters()).device))
        if judge.encoder.tokenizer.get_vocab() != tokenizer.get_vocab():
            raise UsageError(
                f"the reward model {begins_as} reads other tokens than the policy writes, so it cannot become its"
                " critic: train one from the same model, or let the critic begin as the policy"
            )
        body, head = judge.body, judge.head.weight
    body.requires_grad_(True)
    critic = Critic(body, padding, head)
    if lora_rank:
        import peft

        adapter = peft.LoraConfig(r=lora_rank, lora_alpha=2 * lora_rank, target_modules="all-linear")
        critic.body = peft.get_peft_model(body, adapter)
    return critic.eval()
