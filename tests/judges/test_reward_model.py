"""Reward and preference models score alike in any batch, are kept whole on disk, and say when they are biased."""

import pytest
import torch
from transformers import LlamaForSequenceClassification

from headstart.core.errors import CheckpointError, UsageError
from headstart.envs.text.tokenizer import word_tokenizer
from headstart.judges.judge import Judge, PairJudge
from headstart.judges.preference_model import PairFormat, PreferenceModel
from headstart.judges.registry import make_judge
from headstart.judges.reward_model import RewardModel
from headstart.language.tiny_models import tiny_model

TOKENIZER = word_tokenizer(tuple("abcdefgh"))
PROMPTS, TEXTS = ["a b", "a b c d", "c", "d"], ["a", "b c d e f", "g h", "a"]


def tiny(positions: int = 64):
    return tiny_model(TOKENIZER, width=16, layers=1, positions=positions)


def rewarding(positions: int = 64) -> RewardModel:
    made = RewardModel.from_causal_lm(tiny(positions), TOKENIZER)
    torch.nn.init.normal_(made.head.weight, generator=torch.Generator().manual_seed(0))
    return made


def test_a_reward_is_read_off_the_end_and_the_same_in_any_batch() -> None:
    model = rewarding()
    assert isinstance(model, Judge)
    together = model.score(PROMPTS, TEXTS)
    model.batch_size = 1
    assert model.score(PROMPTS, TEXTS) == pytest.approx(together, abs=1e-5)
    ids = torch.tensor([[*model.encoder.encode_prompt("a b"), *TOKENIZER("a")["input_ids"], TOKENIZER.eos_token_id]])
    with torch.no_grad():
        expected = model.head(model.body(input_ids=ids).last_hidden_state[0, -1])
    assert together[0] == pytest.approx(float(expected), abs=1e-5)
    assert not torch.isclose(*torch.tensor([together[0], together[3]])), "the prompt matters"


def test_a_row_longer_than_the_context_loses_its_left_side_and_is_counted() -> None:
    model = rewarding(positions=6)
    row = model.encode("a b c d e f", "g h")
    assert (len(row.prompt), len(row.completion), row.truncated) == (3, 3, False)
    row = model.encode("a b", "a b c d e f g h")
    assert (row.prompt, len(row.completion), row.truncated) == ([], 6, True)
    assert (model.encoder.truncations.prompts, model.encoder.truncations.completions) == (2, 1)


def test_a_reward_model_is_read_back_exactly(tmp_path) -> None:
    model = rewarding()
    model.save(tmp_path / "ours")
    loaded = make_judge(f"reward:{tmp_path / 'ours'}")
    assert loaded.score(PROMPTS, TEXTS) == model.score(PROMPTS, TEXTS)
    assert not list(tmp_path.rglob("*.bin"))


def test_sequence_classifiers_of_others_are_reward_models(tmp_path) -> None:
    config = tiny().config
    config.num_labels = 1
    other = LlamaForSequenceClassification(config).eval()
    other.save_pretrained(tmp_path / "other")
    TOKENIZER.save_pretrained(tmp_path / "other")
    model = RewardModel.load(tmp_path / "other")
    row = model.encode("a b", "c d")
    with torch.no_grad():
        expected = float(other(input_ids=torch.tensor([row.prompt + row.completion])).logits[0, 0])
    assert model.score(["a b"], ["c d"]) == pytest.approx([expected], abs=1e-5)


def test_what_is_no_reward_model_is_refused(tmp_path) -> None:
    tiny().save_pretrained(tmp_path / "language")
    TOKENIZER.save_pretrained(tmp_path / "language")
    with pytest.raises(CheckpointError, match="holds no reward head"):
        make_judge(f"reward:{tmp_path / 'language'}")
    with pytest.raises(CheckpointError, match="holds no preference model"):
        make_judge(f"pairwise:{tmp_path / 'language'}")
    with pytest.raises(UsageError, match="there is no config"):
        make_judge(f"reward:{tmp_path}")
    with pytest.raises(UsageError, match="do not belong together"):
        RewardModel.from_causal_lm(tiny(), word_tokenizer(tuple("abcdefghijklmnop")))


def test_length_bias_is_the_correlation_with_length() -> None:
    class Lengthy(RewardModel):
        def score(self, prompts, completions, columns=None):
            return [-2.0 * len(text) for text in completions]

    assert Lengthy(tiny().base_model, TOKENIZER).length_bias(PROMPTS, TEXTS) == pytest.approx(-1.0)


def test_a_preference_model_gets_the_words_it_lacks() -> None:
    with pytest.raises(UsageError, match="has no words for '\\[CONTEXT\\]'"):
        PreferenceModel(tiny(), TOKENIZER)
    before = len(TOKENIZER)
    model = PreferenceModel.from_causal_lm(tiny(), TOKENIZER)
    assert len(TOKENIZER) == before, "the user's tokenizer is left as it was"
    words = model.encoder.tokenizer.convert_ids_to_tokens(model.encode("a b", "c", "d e"))
    assert words == ["[CONTEXT]", "a", "b", "[RESPONSE A]", "c", "[RESPONSE B]", "d", "e", "[PREFERRED]"]
    own = PairFormat(context="a", first="b", second="c", verdict="d", labels=("e", "f"))
    assert isinstance(PreferenceModel(tiny(), TOKENIZER, own), PairJudge)


@pytest.mark.filterwarnings("ignore:the judge's probabilities change")  # an untrained model leans to one side
def test_preferences_are_those_of_the_labels_averaged_over_orders(tmp_path) -> None:
    model = PreferenceModel.from_causal_lm(tiny(), TOKENIZER)
    shown = model.prefer_as_shown(PROMPTS[:2], ["c", "d"], ["e f", "g"])
    other = model.prefer_as_shown(PROMPTS[:2], ["e f", "g"], ["c", "d"])
    found = model.prefer(PROMPTS[:2], ["c", "d"], ["e f", "g"])
    assert found == pytest.approx([(p + 1 - q) / 2 for p, q in zip(shown, other)])
    text = model.encode(PROMPTS[0], "c", "e f")
    with torch.no_grad():
        logits = model.model(torch.tensor([text])).logits[0, -1]
    assert shown[0] == pytest.approx(float(torch.softmax(logits[model.labels], 0)[0]), abs=1e-5)
    model.save(tmp_path / "model")
    loaded = make_judge(f"pairwise:{tmp_path / 'model'}")
    assert loaded.prefer(PROMPTS[:2], ["c", "d"], ["e f", "g"]) == found


def test_a_judge_that_always_says_the_first_is_warned_of() -> None:
    class First(PreferenceModel):
        def prefer_as_shown(self, prompts, first, second, columns=None):
            return [0.9] * len(first)

    model = First.from_causal_lm(tiny(), TOKENIZER)
    with pytest.warns(UserWarning, match="favour the first by 0.80"):
        assert model.prefer(["a"], ["b"], ["c"]) == pytest.approx([0.5])


def test_a_tournament_finds_best_and_worst() -> None:
    class Later(PreferenceModel):
        asked = 0

        def prefer_as_shown(self, prompts, first, second, columns=None):
            self.asked += len(first)
            return [float(one > other) for one, other in zip(first, second)]

    model = Later.from_causal_lm(tiny(), TOKENIZER)
    found = model.tournament("a", list("cahbgdfe"))
    assert ("cahbgdfe"[found.best], "cahbgdfe"[found.worst], found.probability) == ("h", "a", 1.0)
    assert model.asked == 22
    with pytest.raises(UsageError, match="needs two completions"):
        model.tournament("a", ["b"])


def test_long_pairs_fit_the_context_and_are_counted() -> None:
    model = PreferenceModel.from_causal_lm(tiny(positions=16), TOKENIZER)
    words = model.encoder.tokenizer.convert_ids_to_tokens(model.encode("a b c d e f g h", "a b c", "d e f"))
    assert words[:7] == ["[CONTEXT]", *"defgh", "[RESPONSE A]"]
    assert len(words) == 15
    assert len(model.encode("a", " ".join("a" * 20), "b")) <= 15
    assert model.truncated == 2


def test_texts_that_name_no_judge() -> None:
    with pytest.raises(UsageError, match="did you mean exact"):
        make_judge("exakt")
    with pytest.raises(UsageError, match="write it as numeric:COLUMN"):
        make_judge("numeric:")
    with pytest.raises(UsageError, match="remote:http://HOST:PORT/v1#MODEL"):
        make_judge("remote:http://here/v1")
    assert make_judge("remote:http://here/v1#m").client.model == "m"
    assert make_judge("exact:answer").column == "answer"
