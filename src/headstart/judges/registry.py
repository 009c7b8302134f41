"""Judges by a line of text."""

from __future__ import annotations

from headstart.core.errors import UsageError
from headstart.core.registry import unknown
from headstart.judges.judge import Judge, PairJudge

FORMS = {
    "exact": "exact:COLUMN",
    "numeric": "numeric:COLUMN",
    "regex": "regex:PATTERN",
    "tests": "tests:COLUMN",
    "reward": "reward:PATH",
    "pairwise": "pairwise:PATH",
    "remote": "remote:URL#MODEL",
    "wins": "wins:JUDGE",
    "odds": "odds:JUDGE",
    "majority": "majority, or majority:PATTERN",
}
"""What a judge's text may look like, besides ``module:function``."""


def make_judge(text: str) -> Judge | PairJudge:
    """The judge that a line of text names.

    Args:
        text: ``exact:COLUMN`` or ``numeric:COLUMN`` (the right answer is in a column of the rows), ``regex:PATTERN``,
            ``tests:COLUMN`` (unit tests of code, sandboxed), ``reward:PATH`` or ``pairwise:PATH`` (a trained model's
            folder), ``remote:URL#MODEL`` (an OpenAI-compatible address), ``wins:JUDGE`` or ``odds:JUDGE`` (scores from
            a judge that compares, by the prompt's other completions), ``majority`` or ``majority:PATTERN`` (how many of
            them give the same answer), or ``module:function``.

    Raises:
        UsageError: the text names no judge.
    """
    kind, _, rest = text.partition(":")
    if text == "majority":
        from headstart.judges.group_judges import Majority

        return Majority()
    if not rest:
        if kind in FORMS:
            raise UsageError(f"judge {text!r} is not whole; write it as {FORMS[kind]}")
        raise unknown("judge", text, FORMS, f"Forms: {', '.join(FORMS.values())}, or module:function.")
    if kind == "exact":
        from headstart.judges.verifiers import Exact

        return Exact(rest)
    if kind == "numeric":
        from headstart.judges.verifiers import Numeric

        return Numeric(rest)
    if kind == "regex":
        from headstart.judges.verifiers import Regex

        return Regex(rest)
    if kind == "tests":
        from headstart.judges.sandbox import UnitTests

        return UnitTests(rest)
    if kind == "reward":
        from headstart.judges.reward_model import RewardModel

        return RewardModel.load(rest)
    if kind == "pairwise":
        from headstart.judges.preference_model import PreferenceModel

        return PreferenceModel.load(rest)
    if kind == "remote":
        return _remote(rest)
    if kind in ("wins", "odds"):
        from headstart.judges.group_judges import AgainstOthers

        compares = make_judge(rest)
        if not isinstance(compares, PairJudge):
            raise UsageError(
                f"judge {text!r}: {rest} scores; {kind} needs a judge that compares, such as pairwise:PATH"
            )
        return AgainstOthers(compares, kind)
    if kind == "majority":
        from headstart.judges.group_judges import Majority

        return Majority(rest)
    from headstart.judges.functions import function_judge

    try:
        return function_judge(text)
    except UsageError as error:
        forms = ", ".join(FORMS.values())
        raise UsageError(f"judge {text!r}: {error}. Judges are written as {forms}, or module:function") from error


def _remote(address: str) -> Judge:
    from headstart.judges.chat_client import ChatClient
    from headstart.judges.remote import RemoteJudge

    url, _, model = address.partition("#")
    if not model or not url.startswith(("http://", "https://")):
        raise UsageError(f"judge 'remote:{address}' is not whole; write it as remote:http://HOST:PORT/v1#MODEL")
    return RemoteJudge(ChatClient(url, model), show_progress=True)
