from __future__ import annotations

import os
import signal

import pytest

from sensor.signals import Signals


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def test_signals_are_noted_and_taken_once():
    with Signals(service=True) as signals:
        assert not signals.take(signal.SIGHUP)
        send(signal.SIGHUP)
        send(signal.SIGUSR1)
        assert signals.take(signal.SIGHUP)
        assert not signals.take(signal.SIGHUP)
        assert signals.take(signal.SIGUSR1)
        assert not signals.stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_request_to_stop_does_not_wait(number: signal.Signals):
    with Signals(service=False) as signals:
        send(number)
        assert signals.stop == number
        with pytest.raises(KeyboardInterrupt):
            send(number)


def test_what_was_there_comes_back():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)}
    with Signals(service=True):
        assert signal.getsignal(signal.SIGHUP) != before[signal.SIGHUP]
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_replay_leaves_the_service_signals_alone():
    before = signal.getsignal(signal.SIGHUP)
    with Signals(service=False):
        assert signal.getsignal(signal.SIGHUP) == before
