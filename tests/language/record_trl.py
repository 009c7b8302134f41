"""Runs TRL's own losses on fixed inputs and records what it finds in ``trl_losses.json``.

    benchmarks/peers.sh trl
    .venvs/trl/bin/python tests/language/record_trl.py

Its trainers' methods are called as they are, on stand-ins for the parts of a trainer that they read. The model of the
recorded run from tokens to loss has weights that follow from a formula.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

FIXTURE = Path(__file__).parent / "trl_losses.json"
PAIRS, TOKENS = 4, 6

DPO_LOSSES = {
    "sigmoid": {"beta": 0.3},
    "robust": {"beta": 0.3, "label_smoothing": 0.2},
    "ipo": {"beta": 0.4},
    "hinge": {"beta": 0.7},
    "sigmoid_norm": {"beta": 2.0},
    "sft": {"beta": 1.0},
}
CPO_LOSSES = {
    "simpo": {"beta": 2.0, "simpo_gamma": 0.8, "label_smoothing": 0.1},
    "sigmoid": {"beta": 0.3, "label_smoothing": 0.2},
    "hinge": {"beta": 0.4, "label_smoothing": 0.0},
}


def wave_model(phase: float = 0.0) -> LlamaForCausalLM:
    """A small model whose weights are sines of their positions."""
    config = LlamaConfig(
        vocab_size=23,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=32,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=1,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for index, weight in enumerate(model.parameters()):
            angles = torch.arange(weight.numel(), dtype=torch.float64) * (0.7 + 0.1 * index) + index + phase
            wave = 0.3 * torch.sin(angles) + (1.0 if weight.dim() == 1 else 0.0)
            weight.copy_(wave.reshape(weight.shape).float())
    return model


def wave_pairs() -> list[dict[str, list[int]]]:
    """Ids of prompts, chosen and rejected."""
    return [
        {"prompt_ids": [3, 9, 4], "chosen_ids": [10, 11, 12, 1], "rejected_ids": [20, 1]},
        {"prompt_ids": [5], "chosen_ids": [13, 1], "rejected_ids": [21, 22, 19, 7, 1]},
        {"prompt_ids": [8, 2, 2, 6], "chosen_ids": [14], "rejected_ids": [15, 16, 1]},
    ]


class Accelerator:
    device = torch.device("cpu")

    def gather(self, value: Any) -> Any:
        return value

    gather_for_metrics = gather

    def reduce(self, value: Any, reduction: str) -> Any:
        return value


def trainer(**attributes: Any) -> Any:
    """What TRL's methods read of a trainer."""
    common = {
        "accelerator": Accelerator(),
        "model": SimpleNamespace(training=True),
        "aux_loss_enabled": False,
        "_metrics": defaultdict(lambda: defaultdict(list)),
        "_total_train_tokens": 0,
        "_tp_size": 1,
    }
    return SimpleNamespace(**common | attributes)


def draw(rows: int, seed: int) -> tuple[Tensor, Tensor]:
    """Log-probabilities of tokens, 0 beyond the end, and the mask."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, TOKENS + 1, (rows,), generator=generator)
    lengths[0] = TOKENS
    mask = torch.arange(TOKENS)[None] < lengths[:, None]
    values = -2 * torch.rand((rows, TOKENS), generator=generator) - 0.05
    return torch.where(mask, values, 0.0), mask


def output(log_probs: Tensor) -> Any:
    nothing = torch.zeros_like(log_probs)
    return SimpleNamespace(log_probs=log_probs, entropy=nothing, mean_logits=nothing, is_top1=nothing.bool())


def listed(**values: Any) -> dict[str, Any]:
    return {name: value.tolist() if isinstance(value, Tensor) else value for name, value in values.items()}


def dpo_case(loss_type: str, settings: dict[str, float]) -> dict[str, Any]:
    from trl.trainer.dpo_trainer import DPOTrainer

    policy, mask = draw(2 * PAIRS, 1)
    policy.requires_grad_()
    reference = torch.where(mask, draw(2 * PAIRS, 2)[0] - 0.3, 0.0)
    chosen, rejected = reference.sum(-1).chunk(2)
    whole = torch.cat([torch.zeros(2 * PAIRS, 1, dtype=torch.bool), mask], 1)
    stand_in = trainer(
        ld_alpha=None,
        precompute_ref_logps=True,
        f_divergence_type="reverse_kl",
        loss_types=[loss_type],
        loss_weights=[1.0],
        use_weighting=False,
        **{"label_smoothing": 0.0} | settings,
    )
    inputs = {
        "input_ids": torch.zeros_like(whole).long(),
        "attention_mask": torch.ones_like(whole).long(),
        "completion_mask": whole.long(),
        "ref_chosen_logps": chosen,
        "ref_rejected_logps": rejected,
    }
    loss = DPOTrainer._compute_loss(stand_in, lambda **_: output(policy), inputs, False)
    (gradient,) = torch.autograd.grad(loss, policy)
    return listed(
        settings=settings, policy=policy, mask=mask, reference=reference, loss=float(loss.detach()), gradient=gradient
    )


def cpo_case(loss_type: str, settings: dict[str, float]) -> dict[str, Any]:
    """Without reference; SimPO's averages are handed to it as its trainer does."""
    from trl.experimental.cpo.cpo_trainer import CPOTrainer

    policy, mask = draw(2 * PAIRS, 3)
    policy.requires_grad_()
    sums = policy.sum(-1) / (mask.sum(-1) if loss_type == "simpo" else 1)
    stand_in = trainer(alpha=0.0, loss_type=loss_type, **settings)
    loss = CPOTrainer.cpo_loss(stand_in, *sums.chunk(2))[0].mean()
    (gradient,) = torch.autograd.grad(loss, policy)
    return listed(settings=settings, policy=policy, mask=mask, loss=float(loss.detach()), gradient=gradient)


def orpo_case() -> dict[str, Any]:
    """The odds ratio's part of the loss."""
    from trl.experimental.orpo.orpo_trainer import ORPOTrainer

    policy, mask = draw(2 * PAIRS, 4)
    policy[0] *= 0.001  # a completion of probability near 1
    policy.requires_grad_()
    averages = policy.sum(-1) / mask.sum(-1)
    losses = ORPOTrainer.odds_ratio_loss(trainer(beta=0.5), *averages.chunk(2))[0]
    loss = -losses.mean()
    (gradient,) = torch.autograd.grad(loss, policy)
    return listed(settings={"beta": 0.5}, policy=policy, mask=mask, loss=float(loss.detach()), gradient=gradient)


def kto_case(lift: float) -> dict[str, Any]:
    """`lift` is added to the mismatched log-ratios, so that their mean is above or below 0."""
    from trl.trainer.kto_trainer import KTOTrainer

    policy, mask = draw(PAIRS + 1, 5)
    policy.requires_grad_()
    reference = torch.where(mask, draw(PAIRS + 1, 6)[0], 0.0)
    other, other_mask = draw(PAIRS + 1, 7)
    other_reference = torch.where(other_mask, draw(PAIRS + 1, 8)[0] - lift, 0.0)
    label = torch.tensor([True, False, True, True, False])
    settings = {"beta": 0.4, "desirable_weight": 1.2, "undesirable_weight": 0.7}

    class Model:
        """TRL asks for the mismatched log-probabilities first."""

        asked = 0

        def __call__(self, **_: Any) -> Any:
            self.asked += 1
            return output(other if self.asked == 1 else policy)

    stand_in = trainer(calculate_KL=True, loss_type="kto", precompute_ref_logps=True, **settings)
    stand_in._compute_kl_logps = lambda model, batch: KTOTrainer._compute_kl_logps(stand_in, model, batch)
    whole = torch.cat([torch.zeros(PAIRS + 1, 1, dtype=torch.bool), mask], 1).long()
    inputs = {
        f"{part}{name}": whole for part in ("", "KL_") for name in ("input_ids", "attention_mask", "completion_mask")
    }
    inputs |= {"label": label, "ref_logps": reference.sum(-1), "ref_KL_logps": other_reference.sum(-1)}
    loss = KTOTrainer._compute_loss(stand_in, Model(), inputs, False)
    (gradient,) = torch.autograd.grad(loss, policy)
    return listed(
        settings=settings,
        policy=policy,
        mask=mask,
        reference=reference,
        mismatched=other,
        mismatched_mask=other_mask,
        mismatched_reference=other_reference,
        label=label,
        loss=float(loss.detach()),
        gradient=gradient,
    )


def policy_gradient_case(kind: str) -> dict[str, Any]:
    """RLOO's loss of whole completions, or GRPO's of tokens averaged over the batch (``bnpo``), which is PPO's."""
    from trl.trainer.grpo_trainer import GRPOTrainer
    from trl.trainer.rloo_trainer import RLOOTrainer

    policy, mask = draw(PAIRS, 9)
    policy.requires_grad_()
    behavior = torch.where(mask, policy.detach() + 0.6 * torch.sin(torch.arange(policy.numel())).view_as(policy), 0.0)
    advantages = torch.tensor([1.0, -0.5, 0.3, -1.2])
    stand_in = trainer(
        epsilon_low=0.2,
        epsilon_high=0.2,
        beta=0.0,
        loss_type="bnpo",
        importance_sampling_level="token",
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        use_vllm=False,
        _entropy_bonus_enabled=False,
        num_generations=2,
        current_gradient_accumulation_steps=1,
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False),
        _get_per_token_logps_and_entropies=lambda *_, **__: (policy, torch.zeros_like(policy), None),
    )
    ids = torch.zeros_like(mask).long()
    inputs = {
        "prompt_ids": ids[:, :1],
        "prompt_mask": ids[:, :1] + 1,
        "completion_ids": ids,
        "completion_mask": mask.long(),
        "advantages": advantages,
        "old_logps": behavior.sum(-1),
        "old_per_token_logps": behavior,
    }
    compute = {"rloo": RLOOTrainer._compute_loss, "ppo": GRPOTrainer._compute_loss}[kind]
    loss = compute(stand_in, None, inputs)
    (gradient,) = torch.autograd.grad(loss, policy)
    return listed(
        policy=policy, mask=mask, behavior=behavior, advantage=advantages, loss=float(loss.detach()), gradient=gradient
    )


def whole_run() -> dict[str, Any]:
    """DPO from tokens to the gradient of every weight, through TRL's collator and output head."""
    from trl.trainer.dpo_trainer import DataCollatorForPreference, DPOTrainer
    from trl.trainer.utils import add_fused_lm_head

    model, reference = wave_model(), wave_model(0.5)
    add_fused_lm_head(model, outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
    add_fused_lm_head(reference)
    stand_in = trainer(
        ld_alpha=None,
        precompute_ref_logps=False,
        f_divergence_type="reverse_kl",
        loss_types=["sigmoid"],
        loss_weights=[1.0],
        use_weighting=False,
        label_smoothing=0.0,
        beta=0.3,
        args=SimpleNamespace(gradient_checkpointing_kwargs=None),
    )
    stand_in.model, stand_in.ref_model = model, reference
    batch = DataCollatorForPreference(pad_token_id=0)(wave_pairs())
    loss = DPOTrainer._compute_loss(stand_in, model, batch, False)
    loss.backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters()}
    kept = ("model.embed_tokens.weight", "lm_head.weight", "model.layers.0.self_attn.q_proj.weight")
    norms = {name: float(value.norm()) for name, value in gradients.items() if value is not None}
    metrics = {name: values[-1] for name, values in stand_in._metrics["eval"].items()}
    return {
        "loss": float(loss.detach()),
        "norms": norms,
        "gradients": {name: gradients[name].tolist() for name in kept},
        "log_probabilities": [metrics["logps/chosen"], metrics["logps/rejected"]],
    }


def main() -> None:
    import trl

    cases = {
        "versions": {"trl": trl.__version__, "torch": torch.__version__},
        "dpo": {name: dpo_case(name, settings) for name, settings in DPO_LOSSES.items()},
        "cpo": {name: cpo_case(name, settings) for name, settings in CPO_LOSSES.items()},
        "orpo": orpo_case(),
        "kto": {"above": kto_case(0.5), "below": kto_case(-0.5)},
        "policy gradient": {kind: policy_gradient_case(kind) for kind in ("rloo", "ppo")},
        "whole run": whole_run(),
    }
    FIXTURE.write_text(json.dumps(cases) + "\n")
    print(f"wrote {FIXTURE.name}, {FIXTURE.stat().st_size:,} bytes, from TRL {trl.__version__}")


if __name__ == "__main__":
    main()
