"""A Bradley–Terry reward model: one number a completion, read off the last token by a linear head on any causal LM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from jaxtyping import Float
from torch import Tensor

from headstart.core.causal_models import check_tokens_fit, context_length, default_device
from headstart.core.encoding import Encoded, Encoder, Text, TokenBatch, collate
from headstart.core.errors import CheckpointError, UsageError
from headstart.core.weight_files import require_whole
from headstart.evaluate.correlation import pearson
from headstart.judges.judge import Columns, plain_text

HEAD_FILE, HEAD = "reward_head.safetensors", "score.weight"


class RewardModel(torch.nn.Module):
    """Scores completions; only differences between completions of one prompt mean anything.

    Args:
        body: a transformer without its output head, as ``transformers.AutoModel`` loads it.
        tokenizer: its tokenizer.
        head: weights of the head, ``[1, width]``; zeros by default.
        batch_size: completions scored at a time.
    """

    def __init__(self, body: Any, tokenizer: Any, head: Float[Tensor, "1 width"] | None = None, batch_size: int = 16):
        super().__init__()
        check_tokens_fit(body, tokenizer)
        width = int(body.get_input_embeddings().weight.shape[1]) if head is None else head.shape[1]
        self.body = body
        self.head = torch.nn.Linear(width, 1, bias=False, device=next(body.parameters()).device)
        with torch.no_grad():
            self.head.weight.copy_(torch.zeros_like(self.head.weight) if head is None else head)
        self.encoder = Encoder(tokenizer)
        self.batch_size = batch_size

    @classmethod
    def from_causal_lm(cls, model: Any, tokenizer: Any) -> RewardModel:
        """A new head on a language model's own layers, which are shared with it, not copied.

        Raises:
            UsageError: the model is an adapter on another.
        """
        if hasattr(model, "get_base_model"):
            raise UsageError("the model is an adapter; merge it first: model = model.merge_and_unload()")
        return cls(model.base_model, tokenizer)

    def forward(self, batch: TokenBatch) -> Float[Tensor, " row"]:
        """The reward of each row, in float32."""
        output = self.body(input_ids=batch.ids, attention_mask=batch.attention.long(), use_cache=False)
        last = batch.attention.sum(-1) - 1
        rows = torch.arange(len(last), device=last.device)
        return self.head(output.last_hidden_state[rows, last].float()).squeeze(-1)

    def encode(self, prompt: Text, completion: Text) -> Encoded:
        """A row as ids; where both do not fit the context the prompt loses its left side, and at last the completion
        its right; ``encoder.truncations`` counts them.
        """
        row = self.encoder.encode(prompt, completion)
        context = context_length(self.body)
        over = 0 if context is None else len(row.prompt) + len(row.completion) - context
        if over > 0:
            self.encoder.truncations.prompts += 1
            cut = len(row.completion) - (context or 0)
            self.encoder.truncations.completions += cut > 0
            completion_ids = row.completion[: -cut or None] if cut > 0 else row.completion
            row = Encoded(row.prompt[over:], completion_ids, cut > 0)
        return row

    @torch.no_grad()
    def score(
        self, prompts: Sequence[Text], completions: Sequence[Text], columns: Columns | None = None
    ) -> list[float]:
        """A reward for each completion, computed in batches of like length."""
        rows = [self.encode(prompt, completion) for prompt, completion in zip(prompts, completions)]
        order = sorted(range(len(rows)), key=lambda i: len(rows[i].prompt) + len(rows[i].completion))
        scores = [0.0] * len(rows)
        training, device = self.training, self.head.weight.device
        self.eval()
        for start in range(0, len(order), self.batch_size):
            part = order[start : start + self.batch_size]
            batch = collate([rows[i] for i in part], self.encoder.padding).to(device)
            for i, reward in zip(part, self(batch).tolist()):
                scores[i] = reward
        self.train(training)
        return scores

    def length_bias(self, prompts: Sequence[Text], completions: Sequence[Text]) -> float:
        """Pearson correlation of rewards with the completions' lengths in characters: near 0 is unbiased.

        Raises:
            DataError: fewer than three completions, or all of one length or reward.
        """
        return pearson(self.score(prompts, completions), [len(plain_text(text)) for text in completions])

    def save(self, folder: Path | str) -> None:
        """Write body, head and tokenizer to a folder, as safetensors."""
        self.body.save_pretrained(str(folder), safe_serialization=True)
        self.encoder.tokenizer.save_pretrained(str(folder))
        safetensors.torch.save_file({HEAD: self.head.weight.detach().cpu().contiguous()}, str(Path(folder) / HEAD_FILE))

    @classmethod
    def load(cls, folder: Path | str, device: str | None = None) -> RewardModel:
        """Read what ``save`` wrote, or a sequence classifier of one label in Hugging Face's format.

        Raises:
            UsageError: there is no model, or a file of it is damaged or only a git-lfs pointer.
            CheckpointError: the folder holds a model without a reward head, or of another architecture.
        """
        import transformers

        folder = Path(folder)
        if not (folder / "config.json").is_file():
            raise UsageError(f"no reward model in {folder}: there is no config.json")
        require_whole(sorted(folder.glob("*.safetensors")))
        head = _read_head(folder)
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
            body, found = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise CheckpointError(f"cannot load a reward model from {folder}: {error}") from error
        if found["missing_keys"]:
            raise CheckpointError(
                f"{folder} lacks {len(found['missing_keys'])} weights of a {type(body).__name__}, such as"
                f" {sorted(found['missing_keys'])[0]}; is it a checkpoint of another architecture?"
            )
        return cls(body.to(device or default_device()), tokenizer, head).eval()


def _read_head(folder: Path) -> Tensor:
    for path in [folder / HEAD_FILE, *sorted(folder.glob("*.safetensors"))]:
        if path.is_file():
            with safetensors.safe_open(str(path), framework="pt") as file:
                if HEAD in set(file.keys()):
                    head = file.get_tensor(HEAD).float()
                    if head.shape[0] != 1:
                        raise CheckpointError(f"{folder} classifies into {head.shape[0]} labels, expected one number")
                    return head
    raise CheckpointError(
        f"{folder} holds no reward head ({HEAD}): it is a language model; train a reward model from it with"
        " `headstart lm reward`"
    )
