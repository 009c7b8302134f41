"""Sampling with vLLM, behind the same interface as the transformers sampler.

Runs where vLLM is installed. What is tested without it is how requests are built and answers are read, against objects
of vLLM's shape (``RequestOutput``, ``CompletionOutput``, ``Logprob``).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from headstart.core.encoding import Encoder
from headstart.core.errors import UsageError
from headstart.language.sampler import USUAL, Sample, Sampling, check_prompts, completion_text, counted_noise


class VLLMSampler:
    """Draws completions with a vLLM engine.

    The engine reports one kind of log-probability for what it draws. Where sampling is plain (temperature 1, all
    tokens) the two that a ``Sample`` holds are the same; elsewhere the engine's are of the processed distribution, and
    the model's own come from one more pass over prompts with completions.

    Args:
        model: a ``vllm.LLM`` made with ``logprobs_mode="processed_logprobs"``, or the name or folder of a model.
        encoder: whose tokenizer and end token.
        **options: for ``vllm.LLM``, if a name is given (``gpu_memory_utilization``, ``max_model_len``, …).

    Raises:
        UsageError: vLLM is not installed.
    """

    def __init__(self, model: Any, encoder: Encoder, **options: Any):
        self.encoder = encoder
        self._vllm = _vllm()
        self.engine = (
            self._vllm.LLM(model=model, logprobs_mode="processed_logprobs", **options)
            if isinstance(model, str)
            else model
        )

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        n: int = 1,
        sampling: Sampling = USUAL,
        seed: int = 0,
        forced: Sequence[Sequence[int]] | None = None,
    ) -> list[list[Sample]]:
        """``n`` completions of each prompt; see ``Sampler.sample``. Seeds are the engine's, one a prompt.

        A forced beginning that ends, or fills ``max_tokens``, is refused.
        """
        context = self.engine.llm_engine.model_config.max_model_len
        check_prompts(prompts, n, forced, context)
        beginnings = [[] for _ in prompts] if forced is None else [list(ids) for ids in forced]
        settings = [
            self._vllm.SamplingParams(**request(sampling, n, row, seed, self.encoder.end, given))
            for row, given in enumerate(beginnings)
        ]
        whole = [{"prompt_token_ids": [*prompt, *given]} for prompt, given in zip(prompts, beginnings)]
        answers = self.engine.generate(whole, settings, use_tqdm=False)
        copies = n if sampling.temperature == 0 else 1
        drawn = [read_completions(answer) * copies for answer in answers]
        if is_plain(sampling) and not any(beginnings):
            own = [[values for _, values, _ in group] for group in drawn]
        else:
            own = self._scored(prompts, [[[*g, *ids] for ids, _, _ in group] for g, group in zip(beginnings, drawn)])
        return [
            [
                Sample(
                    [*given, *ids],
                    completion_text(
                        self.encoder.tokenizer, [*given, *ids], [self.encoder.end], sampling.stop, len(given)
                    ),
                    [0.0] * len(given) + ([0.0] * len(ids) if sampling.temperature == 0 else values),
                    model_values,
                    truncated,
                    len(given),
                )
                for (ids, values, truncated), model_values in zip(group, own_group)
            ]
            for given, group, own_group in zip(beginnings, drawn, own)
        ]

    def _scored(
        self, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[list[float]]]:
        """Log-probabilities of completions under the model itself."""
        settings = self._vllm.SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
        rows = [(prompt, ids) for prompt, group in zip(prompts, completions) for ids in group]
        whole = [{"prompt_token_ids": [*prompt, *ids]} for prompt, ids in rows]
        answers = iter(self.engine.generate(whole, settings, use_tqdm=False))
        return [
            [read_prompt(next(answers), [*prompt, *ids], len(prompt)) for ids in group]
            for prompt, group in zip(prompts, completions)
        ]


def is_plain(sampling: Sampling) -> bool:
    """Whether tokens are drawn from the model's own distribution."""
    return sampling.temperature == 1 and sampling.top_k is None and sampling.top_p is None


def request(sampling: Sampling, n: int, row: int, seed: int, end: int, beginning: Sequence[int] = ()) -> dict[str, Any]:
    """Arguments of vLLM's ``SamplingParams`` for one prompt.

    Args:
        sampling: what is asked for.
        n: completions; the engine draws greedy ones once.
        row: position of the prompt.
        seed: of the whole call; each prompt's is a hash of it and ``row``.
        end: the end token.
        beginning: tokens of the completion that are given.

    Raises:
        UsageError: nothing is left to draw.
    """
    if len(beginning) >= sampling.max_tokens or (len(beginning) and beginning[-1] == end):
        raise UsageError(f"the forced beginning of prompt {row} is a whole completion: nothing is left to draw")
    return {
        "n": 1 if sampling.temperature == 0 else n,
        "temperature": sampling.temperature,
        "top_k": sampling.top_k or 0,
        "top_p": 1.0 if sampling.top_p is None else sampling.top_p,
        "max_tokens": sampling.max_tokens - len(beginning),
        "stop": list(sampling.stop) or None,
        "stop_token_ids": [end],
        "seed": int(counted_noise(seed, [row], [0], 1)[0, 0] * 2**31),
        "logprobs": 0,
    }


def read_completions(answer: Any) -> list[tuple[list[int], list[float], bool]]:
    """Ids, log-probabilities and whether it was truncated, for each completion of a ``RequestOutput``."""
    completions = []
    for output in sorted(answer.outputs, key=lambda output: output.index):
        ids = [int(token) for token in output.token_ids]
        values = [float(choices[token].logprob) for token, choices in zip(ids, output.logprobs, strict=True)]
        completions.append((ids, values, output.finish_reason == "length"))
    return completions


def read_prompt(answer: Any, ids: Sequence[int], start: int) -> list[float]:
    """Log-probabilities of ``ids`` from ``start`` on, of a ``RequestOutput`` whose prompt they were."""
    return [float(answer.prompt_logprobs[place][ids[place]].logprob) for place in range(start, len(ids))]


def _vllm() -> Any:
    try:
        return importlib.import_module("vllm")
    except ImportError as error:
        raise UsageError(
            "vLLM is not installed: pip install vllm (on a machine with an accelerator it supports), or use the"
            " transformers sampler"
        ) from error
