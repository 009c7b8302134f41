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


def test_asked_once_the_work_goes_on_until_it_looks():
    with pytest.raises(KeyboardInterrupt, match="looked"), interruptions_put_off() as asked:
        assert not asked()
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert asked()
        raise KeyboardInterrupt("looked")
    assert signal.getsignal(signal.SIGTERM) is signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_asked_twice_it_ends_at_once():
    with pytest.raises(KeyboardInterrupt), interruptions_put_off():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("went on")


def test_a_question_that_nobody_looked_at_is_not_lost():
    reached = False
    with pytest.raises(KeyboardInterrupt), interruptions_put_off():
        signal.raise_signal(signal.SIGINT)
        reached = True
    assert reached


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
