"""What the live source does when nothing comes, when it is closed, and when the interface changes."""

from __future__ import annotations

import collections
import signal
import struct
import threading
import time
from pathlib import Path

import pytest
from lab.network import missing_tools, wait_until
from lab.wire import Wire, balanced, collect, frame

from sensor.errors import CaptureError, ConfigError

REASON = missing_tools()
pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(REASON), reason=REASON or "the lab can run")]


@pytest.fixture(params=[1, 2], ids=["one ring", "two rings"])
def wire(request):
    with Wire(workers=request.param) as made:
        yield made


def test_an_idle_source_moves_the_clock_forward_and_stays_behind_by_the_lag(wire):
    source = wire.open(lag_secs=0.3)
    threading.Timer(0.2, lambda: wire.send(frame(b"one"))).start()
    clocks, empty, last_packet = [], 0, 0
    for batch in source:
        assert batch.now <= time.time_ns()
        if batch.frames.size:
            assert all(batch.frames["time"] >= clocks[-1])  # nothing is earlier than an idle clock said
            last_packet = batch.now
        else:
            empty += 1
            assert batch.now <= max(time.time_ns() - 300_000_000, last_packet)
        clocks.append(batch.now)
        if len(clocks) == 15:
            source.close()
    assert clocks == sorted(clocks)
    assert empty >= 10
    assert last_packet in clocks
    assert clocks[-1] - clocks[0] > 300_000_000


def test_close_from_another_thread_ends_a_long_wait_and_delivers_what_came(wire):
    source = wire.open(poll_secs=30, block_timeout_secs=0.1)
    threading.Timer(0.3, lambda: (wire.send(frame(b"last words")), source.close())).start()
    batches = list(source)
    assert sum(len(batch.frames) for batch in batches) == 1
    assert balanced(source.counters())
    source.close()
    assert list(source) == []


def test_close_in_a_signal_handler_ends_the_iteration(wire):
    source = wire.open(poll_secs=30)
    before = signal.signal(signal.SIGALRM, lambda *_: source.close())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        assert list(source) == []
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_source_that_is_never_iterated_gives_its_descriptors_back(wire):
    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for _ in range(3):
        source = wire.open()
        source.close()
        source.close()
        with pytest.raises(CaptureError):
            wire.open("absent0")
        with pytest.raises(ConfigError):
            wire.open(bpf="no such filter")
    assert descriptors() == before


def test_an_abandoned_iteration_gives_everything_back(wire):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        source = wire.open()
        for batch in source:
            assert batch.now > 0
            break
        del batch, source
    wait_until(lambda: len(list(Path("/proc/self/fd").iterdir())) == before)


def test_an_interface_that_goes_down_and_up_goes_on(wire):
    source = wire.open()
    got = []
    for step, batch in enumerate(source, 1):
        got += [bytes(batch.data[row["offset"] + 14 :][:1]) for row in batch.frames]
        if step == 1:
            wire.send(frame(b"A"))
            wire.sensor.ip("link", "set", "span0", "down")
        elif step == 8:
            wire.sensor.ip("link", "set", "span0", "up")
            wire.send(frame(b"B"))
        elif b"B" in got or step > 100:
            source.close()
    assert got == [b"A", b"B"]
    assert source.counters()["interface_down_events"] == 1


def test_an_interface_that_is_down_at_the_start_is_waited_for(wire):
    wire.sensor.ip("link", "set", "span0", "down")
    source = wire.open()
    threading.Timer(
        0.3, lambda: (wire.sensor.ip("link", "set", "span0", "up"), wire.send(frame(b"up")))
    ).start()
    assert [data for data, _ in collect(source, 1.0)] == [frame(b"up")]
    assert source.counters()["interface_down_events"] == 1


@pytest.mark.parametrize("again", [False, True], ids=["deleted", "deleted and made anew"])
def test_a_deleted_interface_ends_in_an_error_after_its_last_packets(wire, again):
    source = wire.open()
    wire.send(frame(b"before"))

    def delete():
        wire.sensor.ip("link", "del", "span0")
        if again:
            wire.sensor.ip("link", "add", "span0", "type", "veth", "peer", "name", "span1")

    timer = threading.Timer(0.3, delete)
    timer.start()
    counts = []
    with pytest.raises(CaptureError, match="span0") as error:
        counts.extend(len(batch.frames) for batch in source)
    timer.join()
    assert error.value.exit_code == 1
    assert sum(counts) == 1
    assert balanced(source.counters())


def test_counters_can_be_read_by_another_thread_while_packets_come(wire):
    source = wire.open(ring_bytes=64 << 20)  # for as long as the reader may keep the sender waiting
    stop = threading.Event()
    readings = []

    def read():
        while not stop.is_set():
            readings.append(source.counters()["packets"])

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(2000):
        wire.send(frame(struct.pack("!I", number)))
    got = collect(source, 0.5)
    stop.set()
    reader.join()
    assert len(got) == 2000
    assert readings == sorted(readings)


def test_a_clock_that_is_set_back_ends_it_rather_than_blind_it(wire, monkeypatch):
    source = wire.open()
    batches = iter(source)
    wire.send(frame(b"one"))
    while not next(batches).frames.size:
        pass
    honest = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: honest() - 5_000_000_000)
    deadline = time.monotonic() + 2.5
    while time.monotonic() < deadline:  # a small step is waited for
        next(batches)
    monkeypatch.setattr(time, "time_ns", lambda: honest() - 3_600_000_000_000)
    with pytest.raises(CaptureError, match="the clock was set back by 3"):
        collections.deque(batches, maxlen=0)
