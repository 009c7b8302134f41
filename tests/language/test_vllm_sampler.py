"""The engine itself is not here: requests and answers of its documented shape are."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from headstart.core.encoding import Encoder
from headstart.core.errors import UsageError
from headstart.envs.text.tokenizer import word_tokenizer
from headstart.language import vllm_sampler
from headstart.language.sampler import Sampling


@dataclass
class Logprob:
    logprob: float
    rank: int | None = None
    decoded_token: str | None = None


@dataclass
class CompletionOutput:
    index: int
    token_ids: list[int]
    logprobs: list[dict[int, Logprob]]
    finish_reason: str


@dataclass
class RequestOutput:
    prompt_logprobs: list[dict[int, Logprob] | None] | None
    outputs: list[CompletionOutput]


class Engine:
    """Answers every request with the ids 4 5, ended or cut; a token's log-probability is minus a tenth of its id."""

    def __init__(self):
        self.calls: list[tuple[Any, Any]] = []
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=16))

    def generate(self, prompts, settings, use_tqdm):
        self.calls.append((prompts, settings))
        listed = settings if isinstance(settings, list) else [settings] * len(prompts)
        return [self._answer(prompt["prompt_token_ids"], one) for prompt, one in zip(prompts, listed)]

    def _answer(self, prompt, settings):
        def held(token):
            return {token: Logprob(-token / 10), 9: Logprob(-9.0)}

        outputs = []
        for index in reversed(range(settings.get("n", 1))):
            ids = [4, 5, 1] if index == 0 else [4, 5]
            logprobs = [held(token) for token in ids]
            outputs.append(CompletionOutput(index, ids, logprobs, "stop" if index == 0 else "length"))
        return RequestOutput([None, *(held(token) for token in prompt[1:])], outputs)


@pytest.fixture
def sampler(monkeypatch):
    monkeypatch.setattr(vllm_sampler, "_vllm", lambda: SimpleNamespace(SamplingParams=dict))
    return vllm_sampler.VLLMSampler(Engine(), Encoder(word_tokenizer([f"w{i}" for i in range(10)])))


def test_plain_sampling_needs_one_pass(sampler):
    (first, second), _ = sampler.sample([[2, 3], [6]], 2, Sampling(max_tokens=8, stop=("w9",)), seed=3)
    assert (first.ids, first.text, first.truncated) == ([4, 5, 1], "w2 w3", False)
    assert first.log_probabilities == first.model_log_probabilities == pytest.approx([-0.4, -0.5, -0.1])
    assert (second.ids, second.truncated) == ([4, 5], True)
    ((prompts, settings),) = sampler.engine.calls
    assert prompts == [{"prompt_token_ids": [2, 3]}, {"prompt_token_ids": [6]}]
    assert settings[0]["seed"] != settings[1]["seed"]
    assert settings[0] | {"seed": 0} == {
        "n": 2,
        "temperature": 1.0,
        "top_k": 0,
        "top_p": 1.0,
        "max_tokens": 8,
        "stop": ["w9"],
        "stop_token_ids": [1],
        "seed": 0,
        "logprobs": 0,
    }


def test_other_distributions_and_forced_beginnings_are_scored_by_the_model(sampler):
    ((sample,),) = sampler.sample([[2, 3]], 1, Sampling(temperature=0.5, top_k=3, max_tokens=8), forced=[[7]])
    assert sample.ids == [7, 4, 5, 1]
    assert sample.forced == 1
    assert sample.log_probabilities == pytest.approx([0, -0.4, -0.5, -0.1])
    assert sample.model_log_probabilities == pytest.approx([-0.7, -0.4, -0.5, -0.1])
    (drawing, scoring) = sampler.engine.calls
    assert drawing[0] == [{"prompt_token_ids": [2, 3, 7]}]
    assert drawing[1][0]["max_tokens"] == 7
    assert scoring[0] == [{"prompt_token_ids": [2, 3, 7, 4, 5, 1]}]
    assert scoring[1]["prompt_logprobs"] == 0


def test_greedy_completions_are_drawn_once(sampler):
    (group,) = sampler.sample([[2, 3]], 3, Sampling(temperature=0, max_tokens=8))
    assert [sample.ids for sample in group] == [[4, 5, 1]] * 3
    assert group[0].log_probabilities == [0.0] * 3
    assert sampler.engine.calls[0][1][0]["n"] == 1


def test_what_cannot_be_asked_is_refused(sampler):
    with pytest.raises(UsageError, match="nothing is left"):
        sampler.sample([[2]], forced=[[4, 1]])
    with pytest.raises(UsageError, match="context of 16"):
        sampler.sample([[2] * 16])


def test_without_vllm_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UsageError, match="pip install vllm"):
        vllm_sampler.VLLMSampler("any", Encoder(word_tokenizer(["a"])))
