import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from craft_capture import NANOSECOND_MAGIC, Captured, pcap_bytes
from delivered import delivered
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.packet.batch import FRAME, PacketBatch, empty_batch
from sensor.sources.capture_file import CaptureFiles
from sensor.sources.paced import GATHER_SECS, LONGEST_WAIT_SECS, TICK_SECS, Paced

SECOND = 10**9


class Clock:
    """Real time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= TICK_SECS
        self.now += seconds


class Replay:
    """A source of the given batches of packet times."""

    name = "replay"

    def __init__(self, *batches: list[int]) -> None:
        self.batches = batches
        self.closed = False

    def __iter__(self) -> Iterator[PacketBatch]:
        data = np.zeros(1, np.uint8)
        for times in self.batches:
            frames = np.zeros(len(times), FRAME)
            frames["time"] = times
            frames["wirelen"] = np.arange(len(times))
            yield PacketBatch(data, frames, times[-1]) if times else empty_batch(0)

    def counters(self) -> dict[str, int]:
        return {"packets": 5}

    def close(self) -> None:
        self.closed = True


def play(source: Replay, speed: float = 1.0) -> tuple[list[tuple[float, PacketBatch]], Paced]:
    clock = Clock()
    paced = Paced(source, speed, clock, clock.sleep)
    out = [(clock.now - 1000.0, PacketBatch(b.data, b.frames.copy(), b.now)) for b in paced]
    return out, paced


@settings(max_examples=150, deadline=None)
@given(
    batches=st.lists(st.lists(st.integers(0, 30 * SECOND), min_size=1, max_size=10), min_size=1, max_size=5),
    speed=st.sampled_from([0.5, 1.0, 10.0, 1000.0]),
    ordered=st.booleans(),
)
def test_every_packet_comes_once_in_order_and_on_time(batches, speed, ordered):
    if ordered:
        flat = iter(sorted(time for batch in batches for time in batch))
        batches = [[next(flat) for _ in batch] for batch in batches]
    out, _ = play(Replay(*batches), speed)
    whole = [frame.tobytes() for batch in Replay(*batches) for frame in batch.frames]
    assert [frame.tobytes() for _, batch in out for frame in batch.frames] == whole
    start = batches[0][0]
    latest = start
    for at, batch in out:
        if not batch.frames.size:
            assert latest < batch.now
            latest = batch.now
            continue
        for moment in batch.frames["time"]:
            latest = max(latest, int(moment))
            due = (latest - start) / SECOND / speed
            assert due - 1e-6 <= at <= due + GATHER_SECS + 1e-6
        assert batch.now == batch.frames["time"][-1]


def test_the_clock_moves_while_nothing_is_due():
    out, _ = play(Replay([0, 2 * SECOND]))
    ticks = [batch.now for _, batch in out if not batch.frames.size]
    assert len(ticks) >= 15
    assert ticks == sorted(ticks)
    assert ticks[-1] < 2 * SECOND


def test_ticks_never_pass_the_packet_that_is_waited_for():
    out, _ = play(Replay([0, SECOND, 10], [5, 3 * SECOND], [2, 4 * SECOND]))
    coming = 0
    for _, batch in reversed(out):
        if batch.frames.size:
            coming = int(batch.frames["time"].max())
        else:
            assert batch.now < coming


def test_busy_time_is_gathered_and_not_a_batch_for_each_packet():
    times = [n * SECOND // 10_000 for n in range(20_000)]  # two seconds
    out, _ = play(Replay(times))
    assert 20 <= sum(bool(batch.frames.size) for _, batch in out) <= 60


def test_a_silence_beyond_the_longest_is_shortened_and_counted():
    far = int(100 * LONGEST_WAIT_SECS) * SECOND
    out, paced = play(Replay([0, far, far + SECOND]))
    moments = [at for at, batch in out if batch.frames.size]
    assert moments[1] == pytest.approx(LONGEST_WAIT_SECS, abs=0.2)
    assert moments[2] == pytest.approx(LONGEST_WAIT_SECS + 1, abs=0.2)
    assert paced.counters() == {"packets": 5, "gaps_shortened": 1}


def test_empty_batches_pass():
    out, _ = play(Replay([], [0]))
    assert [batch.frames.size for _, batch in out] == [0, 1]


def test_close_ends_a_long_wait():
    clock = Clock()
    source = Replay([0, 1000 * SECOND])
    paced = Paced(source, 1.0, clock, clock.sleep)
    batches = iter(paced)
    assert next(batches).frames.size == 1
    next(batches)
    paced.close()
    assert list(batches) == []
    assert clock.now < 1001
    assert source.closed


@pytest.mark.parametrize("speed", [0, -1, float("inf"), float("nan")])
def test_a_speed_that_is_none_is_refused(speed):
    with pytest.raises(ValueError, match="speed"):
        Paced(Replay([0]), speed)


def test_a_real_capture_file_takes_its_time(tmp_path: Path):
    frames = [Captured(n * 10_000_000, bytes([n])) for n in range(50)]  # half a second
    path = tmp_path / "capture"
    path.write_bytes(pcap_bytes(frames, magic=NANOSECOND_MAGIC))
    start = time.monotonic()
    slow = CaptureFiles(path)
    paced = Paced(slow, 2.0)
    assert paced.name == str(path)
    rows = []
    for batch in paced:
        rows += [int(frame["time"]) for frame in batch.frames]
    assert time.monotonic() - start > 0.24
    assert rows == [frame.time for frame in delivered(CaptureFiles(path))]
