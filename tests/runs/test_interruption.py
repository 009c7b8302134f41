"""Interruptions put off: the first asks, the same a second time acts, and nobody's handlers are lost."""

import signal
import threading

import pytest

from headstart.core.interruption import interruptions_put_off, let_sigterm_interrupt


@pytest.fixture(autouse=True)
def handlers():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    let_sigterm_interrupt()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def during(*numbers):
    """What the work sees that is told by these signals; raises what they come to."""
    with interruptions_put_off() as asked:
        seen.append(asked())
        for number in numbers:
            signal.raise_signal(number)
            seen.append(asked())


seen: list[bool] = []


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((signal.SIGINT, signal.SIGTERM), [False, True, True]),
        ((signal.SIGTERM, signal.SIGTERM), [False, True]),
        ((signal.SIGINT, signal.SIGTERM, signal.SIGINT), [False, True, True]),
    ],
)
def test_the_first_asks_and_the_same_again_acts_at_once(numbers, expected):
    seen.clear()
    with pytest.raises(KeyboardInterrupt):
        during(*numbers)
    assert seen == expected
    assert signal.getsignal(signal.SIGTERM) is signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_nobody_asks():
    seen.clear()
    during()
    assert seen == [False]


def test_what_is_ignored_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interruptions_put_off() as asked:
        signal.raise_signal(signal.SIGINT)
        assert not asked()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_beside_the_main_thread_nothing_is_put_off():
    seen = []

    def work():
        with interruptions_put_off() as asked:
            seen.append((asked(), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, signal.default_int_handler)]
