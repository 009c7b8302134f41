from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from headstart.core.encoding import Encoded, Encoder, collate
from headstart.core.errors import DivergenceError, UsageError
from headstart.envs.text.tokenizer import word_tokenizer
from headstart.language.drawing import draw, keep_likely
from headstart.language.key_value_cache import new_cache
from headstart.language.llama_step import LlamaStep, fits
from headstart.language.log_probabilities import score
from headstart.language.sampler import Sample, Sampling, counted_noise
from headstart.language.tiny_models import tiny_model
from headstart.language.transformers_sampler import TransformersSampler

WORDS = [f"w{i}" for i in range(20)]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tokenizer():
    return word_tokenizer(WORDS)


def gemma(tokenizer) -> Gemma3ForCausalLM:
    """A model whose layers attend to windows, and that takes transformers' own way through its layers."""
    torch.manual_seed(4)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "head_dim": 16}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "layer_types": ["sliding_attention", "full_attention"]}
    ends = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    settings = {"vocab_size": len(tokenizer), "max_position_embeddings": 64, "sliding_window": 6}
    configuration = Gemma3TextConfig(**sizes, **heads, **ends, **settings, tie_word_embeddings=False)
    return Gemma3ForCausalLM(configuration).eval()


@pytest.fixture(scope="module", params=["llama", "gemma"])
def model(request, tokenizer):
    model = tiny_model(tokenizer, width=32, seed=3) if request.param == "llama" else gemma(tokenizer)
    assert fits(model) == (request.param == "llama")
    with torch.no_grad():
        model.lm_head.weight.mul_(6)  # far from uniform
    return model


@pytest.fixture(scope="module")
def encoder(tokenizer):
    return Encoder(tokenizer)


@pytest.fixture(scope="module")
def prompts():
    rng = np.random.default_rng(0)
    return [rng.integers(2, 22, size=rng.integers(1, 9)).tolist() for _ in range(7)]


def flat(samples: list[list[Sample]]) -> list[Sample]:
    return [sample for completions in samples for sample in completions]


def test_greedy_is_what_transformers_generates(model, encoder, prompts):
    samples = TransformersSampler(model, encoder, 4).sample(prompts, sampling=Sampling(temperature=0, max_tokens=20))
    for prompt, (sample,) in zip(prompts, samples):
        ids = torch.tensor([prompt])
        wanted = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=20)
        assert sample.ids == wanted[0, len(prompt) :].tolist()
        assert sample.truncated == (sample.ids[-1] != encoder.end)


@pytest.mark.parametrize(
    "sampling", [Sampling(max_tokens=15), Sampling(temperature=0.7, top_k=6, top_p=0.9, max_tokens=15)]
)
def test_log_probabilities_are_those_of_a_whole_forward_pass(model, encoder, prompts, sampling):
    forced = [prompt[: i % 3] for i, prompt in enumerate(prompts)]
    samples = TransformersSampler(model, encoder, 6).sample(prompts, 3, sampling, seed=1, forced=forced)
    for prompt, beginning, completions in zip(prompts, forced, samples):
        for sample in completions:
            assert sample.ids[: sample.forced] == beginning
            batch = collate([Encoded(prompt, sample.ids)], encoder.padding)
            with torch.no_grad():
                whole = score(model, batch).policy[0]
                logits = model(input_ids=batch.ids).logits[0, len(prompt) - 1 : -1]
            np.testing.assert_allclose(sample.model_log_probabilities, whole, atol=1e-4)
            kept = keep_likely(logits / sampling.temperature, sampling.top_k, sampling.top_p).log_softmax(-1)
            own = kept.gather(-1, torch.tensor(sample.ids)[:, None])[:, 0]
            np.testing.assert_allclose(sample.log_probabilities[sample.forced :], own[sample.forced :], atol=1e-4)
            assert sample.log_probabilities[: sample.forced] == [0.0] * sample.forced


def test_the_batch_size_changes_nothing(model, encoder, prompts):
    sampling = Sampling(max_tokens=12)
    ways = [TransformersSampler(model, encoder, size).sample(prompts, 5, sampling, seed=4) for size in (1, 3, 64)]
    for other in ways[1:]:
        assert [sample.ids for sample in flat(other)] == [sample.ids for sample in flat(ways[0])]
    again = TransformersSampler(model, encoder, 64).sample(prompts, 5, sampling, seed=5)
    assert [sample.ids for sample in flat(again)] != [sample.ids for sample in flat(ways[0])]
    more = TransformersSampler(model, encoder, 64).sample(prompts[:2], 9, sampling, seed=4)
    assert [sample.ids for sample in more[1][:5]] == [sample.ids for sample in ways[0][1]]


def test_tokens_come_as_often_as_the_model_says(model, encoder):
    sampling = Sampling(temperature=1.3, max_tokens=2)
    samples = TransformersSampler(model, encoder, 4000).sample([[5, 6]], 4000, sampling)[0]
    with torch.no_grad():
        first = torch.softmax(model(input_ids=torch.tensor([[5, 6]])).logits[0, -1] / 1.3, -1).double().numpy()
    counts = np.bincount([sample.ids[0] for sample in samples], minlength=22)
    likely = first * 4000 >= 5
    rest = [counts[~likely].sum()], [first[~likely].sum() * 4000]
    observed, expected = (np.append(a[likely], b) for a, b in ((counts, rest[0]), (first * 4000, rest[1])))
    if expected[-1] == 0:
        observed, expected = observed[:-1], expected[:-1]
    assert chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 0.01


@pytest.mark.parametrize("words", [50, 5000, 6144])
def test_draws_invert_the_cumulative_distribution(words):
    logits = 3 * torch.randn(1, words, generator=torch.Generator().manual_seed(0))
    noise = torch.linspace(0, 1, 2001, dtype=torch.float64)[:-1]
    drawn = draw(logits.expand(2000, -1), noise, Sampling())
    cumulative = logits[0].double().softmax(-1).cumsum(0)
    expected = torch.searchsorted(cumulative, noise, right=True)
    assert (drawn.tokens == expected).float().mean() > 0.998
    assert (drawn.tokens - expected).abs().max() <= 1
    torch.testing.assert_close(drawn.log_probabilities, logits[0].log_softmax(-1)[drawn.tokens], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("top_k", "top_p"), [(5, None), (None, 0.8), (50, 0.6), (1, 0.5), (None, 1e-6), (None, 0.999)])
def test_likely_tokens_are_those_that_transformers_keeps(top_k, top_p):
    logits = 2 * torch.randn(30, 2000, generator=torch.Generator().manual_seed(0))
    wanted = logits
    if top_k is not None:
        wanted = TopKLogitsWarper(top_k)(torch.zeros(0), wanted)
    if top_p is not None:
        wanted = TopPLogitsWarper(top_p)(torch.zeros(0), wanted)
    kept = keep_likely(logits, top_k, top_p)
    assert ((kept > -torch.inf) == (wanted > -torch.inf)).float().mean() > 0.9999  # sums in another order
    both = (kept > -torch.inf) & (wanted > -torch.inf)
    assert torch.equal(kept[both], wanted[both])


def test_noise_is_uniform_and_belongs_to_its_place():
    noise = counted_noise(7, [0, 0, 1, 1], [0, 1, 0, 1], 5000)
    assert np.array_equal(noise[2, :10], counted_noise(7, [1], [0], 10)[0])
    assert np.abs(np.corrcoef(noise) - np.eye(4)).max() < 0.05
    counts = np.histogram(noise, bins=50, range=(0, 1))[0]
    assert chisquare(counts).pvalue > 0.01


def test_stop_strings_and_ends(model, encoder, prompts):
    sampler = TransformersSampler(model, encoder, 8)
    free = flat(sampler.sample(prompts, 4, Sampling(max_tokens=20)))
    stop = ("w3", "w11 w")
    held = flat(sampler.sample(prompts, 4, Sampling(max_tokens=20, stop=stop)))
    assert any(len(a.ids) < len(b.ids) for a, b in zip(held, free))
    for short, full in zip(held, free):
        assert short.ids == full.ids[: len(short.ids)]
        assert not any(string in short.text for string in stop)
        assert full.text.startswith(short.text)
        if len(short.ids) < len(full.ids):
            assert not short.truncated
            assert any(string in encoder.decode(short.ids) for string in stop)
    for sample in free:
        assert sample.truncated == (sample.ids[-1] != encoder.end)
        assert len(sample.ids) <= 20


def test_forced_beginnings_that_end_or_fill_the_completion(model, encoder):
    sampling = Sampling(max_tokens=3)
    forced = [[4, encoder.end], [4, 5, 6], [4]]
    ended, full, free = flat(TransformersSampler(model, encoder).sample([[2, 3]] * 3, 1, sampling, forced=forced))
    assert (ended.ids, ended.truncated, ended.forced) == ([4, encoder.end], False, 2)
    assert (full.ids, full.truncated, full.forced) == ([4, 5, 6], True, 3)
    assert free.ids[0] == 4
    assert len(free.ids) > 1
    assert all(len(sample.model_log_probabilities) == len(sample.ids) for sample in (ended, full, free))


def test_a_stream_is_the_sample_in_pieces(model, encoder):
    sampler = TransformersSampler(model, encoder)
    sampling = Sampling(max_tokens=20, stop=("w3",))
    pieces = list(sampler.stream([2, 3], sampling, seed=2))
    assert "".join(pieces) == sampler.sample([[2, 3]], 1, sampling, seed=2)[0][0].text
    assert len(pieces) > 1


def test_what_does_not_fit_is_refused(model, tokenizer, encoder):
    sampler = TransformersSampler(model, encoder)
    with pytest.raises(UsageError, match=r"prompt 1 has 64 tokens.*context of 64"):
        sampler.sample([[2], [2] * 64])
    short = sampler.sample([[2] * 60], sampling=Sampling(max_tokens=50))[0][0]
    assert len(short.ids) <= 4
    for prompts, options, message in [
        ([[]], {}, "no tokens"),
        ([[500]], {}, "outside"),
        ([[2]], {"n": 0}, "at least one"),
        ([[2]], {"forced": []}, "one each"),
    ]:
        with pytest.raises(UsageError, match=message):
            sampler.sample(prompts, **options)
    for wrong in ({"temperature": -1}, {"top_k": 0}, {"top_p": 0.0}, {"max_tokens": 0}, {"stop": "w3"}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            Sampling(**wrong)
    endless = word_tokenizer(WORDS)
    endless.eos_token = None
    with pytest.raises(UsageError, match="no end-of-sequence token"):
        Encoder(endless)


def test_the_short_step_is_the_models_own(tokenizer):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    settings = {"num_hidden_layers": 2, "attention_bias": True, "mlp_bias": True, "max_position_embeddings": 32}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=22, **sizes, **settings)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    assert fits(model)
    ids = torch.randint(0, 22, (3, 9))
    mask = torch.ones(3, 9, dtype=torch.long)
    mask[1, :4] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = new_cache(model.config)
    with torch.no_grad():
        wanted = model(input_ids=ids, attention_mask=mask, position_ids=positions).logits[:, -1]
        model(
            input_ids=ids[:, :-1],
            attention_mask=mask[:, :-1],
            position_ids=positions[:, :-1],
            past_key_values=cache,
            use_cache=True,
        )
        found = LlamaStep(model, 9)(ids[:, -1], positions[:, -1], mask.bool(), cache)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    model.model.layers[0].mlp.register_forward_hook(lambda *_: None)
    assert not fits(model)


def test_a_diverged_model_is_reported(tokenizer, encoder):
    broken = tiny_model(tokenizer, width=16)
    with torch.no_grad():
        broken.lm_head.weight.fill_(torch.nan)
    with pytest.raises(DivergenceError, match="not numbers"):
        TransformersSampler(broken, encoder).sample([[2, 3]], sampling=Sampling(max_tokens=2))
