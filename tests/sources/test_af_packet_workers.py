"""Several rings side by side: the same packets as with one, flows in order, and nothing lost in silence."""

from __future__ import annotations

import itertools
import random
import struct
import threading
import time
from collections import defaultdict
from pathlib import Path

import craft
import numpy as np
import pytest
from lab.network import missing_tools, wait_until
from lab.wire import Wire, balanced, collect, frame, udp

from sensor.errors import CaptureError, ConfigError
from sensor.sources import packet_socket
from sensor.sources.af_packet import AfPacket

REASON = missing_tools()
pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(REASON), reason=REASON or "the lab can run")]


@pytest.fixture
def wire():
    with Wire() as made:
        yield made


def conversation(number, flows=40):
    """Return packet `number` of so many flows that answer each other; it holds its number."""
    flow = number % flows
    here, there = (f"10.1.{flow}.1", 1000 + flow), (f"10.2.{flow}.2", 53)
    source, to = (here, there) if number // flows % 2 == 0 else (there, here)
    return udp(to[1], source=source, to=to[0], payload=struct.pack("!I", number))


def number_of(data):
    return struct.unpack("!I", data[-4:])[0]


def test_the_same_packets_arrive_as_with_one_ring_in_the_same_order(wire):
    # Blocks go often and not at the same moment, so that rings are far from being ready together.
    options = {"block_timeout_secs": 0.01, "block_bytes": 1 << 16}
    one, two, three = (wire.open(workers=workers, **options) for workers in (1, 2, 3))
    got = {}
    readers = [
        threading.Thread(target=lambda name, source: got.update({name: collect(source, 2)}), args=each)
        for each in (("one", one), ("two", two), ("three", three))
    ]
    for reader in readers:
        reader.start()
    for number in range(4000):
        wire.send(conversation(number))
        if number % 100 == 0:
            time.sleep(0.005)
    for reader in readers:
        reader.join()
    numbers = {name: [number_of(data) for data, _ in rows] for name, rows in got.items()}
    assert numbers == {name: list(range(4000)) for name in got}
    for name, rows in got.items():
        times = [int(row["time"]) for _, row in rows]
        assert times == sorted(times), name
    for source, rings in ((two, 2), (three, 3)):
        counters = source.counters()
        shares = [counters[f"packets_ring_{ring}"] for ring in range(rings)]
        assert sum(shares) == counters["packets"] == 4000
        assert min(shares) > 400  # 40 flows, so that a ring without any is next to impossible
        assert counters["ring_bytes"] == rings * (8 << 20)
        assert balanced(counters)


def test_both_ways_of_a_flow_go_to_one_ring(wire):
    source = wire.open(workers=4)
    for number in range(800):
        wire.send(conversation(number))
    ring_bytes = source.counters()["ring_bytes"] // 4
    rings = defaultdict(set)
    for data, row in collect(source):
        rings[number_of(data) % 40].add(int(row["offset"]) // ring_bytes)
    assert len(rings) == 40
    assert all(len(which) == 1 for which in rings.values())
    assert len(set.union(*rings.values())) == 4


def v6_segment(near, far, ports):
    return craft.ethernet(craft.ipv6(craft.tcp(b"", *ports), f"fd00::{near:x}", f"fd00::{far:x}"))


def tagged(near, far, ports):
    packet = craft.ipv4(craft.tcp(b"", *ports), f"10.3.0.{near}", f"10.3.0.{far}")
    return craft.ethernet(packet, vlans=(5, 6))


def fragment(near, far, ports):
    """The first or a later one of a datagram: only the first has ports."""
    later = ports[0] > ports[1]
    data = bytes(16) if later else craft.udp(bytes(8), *ports)
    packet = craft.ipv4(
        data,
        f"10.4.0.{near}",
        f"10.4.0.{far}",
        craft.UDP,
        fragment_offset=16 * later,
        more_fragments=not later,
    )
    return craft.ethernet(packet)


@pytest.mark.parametrize("kind", [v6_segment, tagged, fragment])
def test_both_ways_of_other_flows_too(wire, kind):
    source = wire.open(workers=4)
    sent = {}
    for flow in range(30):
        near, far, ports = 10 + flow, 100 + flow, (1000 + flow, 2000 + flow)
        for data in (kind(near, far, ports), kind(far, near, ports[::-1])):
            sent[data] = flow
            wire.send(data)
    ring_bytes = source.counters()["ring_bytes"] // 4
    rings = defaultdict(set)
    for data, row in collect(source):
        flow = next(flow for one, flow in sent.items() if one.endswith(data[12:]))
        rings[flow].add(int(row["offset"]) // ring_bytes)
    assert len(rings) == 30
    assert all(len(which) == 1 for which in rings.values())
    assert len(set.union(*rings.values())) > 1


def test_a_ring_that_gets_nothing_holds_up_the_other_for_no_longer_than_the_lag(wire):
    """Frames without addresses all go to one ring, so the other one never has anything to say."""
    source = wire.open(workers=2, lag_secs=0.4, block_timeout_secs=0.05)
    for number in range(50):
        wire.send(frame(struct.pack("!I", number)))
    received = 0
    for batch, _ in zip(source, range(100), strict=False):  # an empty one comes every 0.05 s
        received += len(batch.frames)
        if received == 50:
            source.close()
    counters = source.counters()
    assert received == counters["packets"] == 50
    assert 0 in (counters["packets_ring_0"], counters["packets_ring_1"])


def test_an_idle_clock_goes_on_while_one_ring_is_silent(wire):
    source = wire.open(workers=2, lag_secs=0.3)
    clocks = [batch.now for batch, _ in zip(source, range(12), strict=False)]
    assert clocks == sorted(clocks)
    assert clocks[-1] - clocks[0] > 200_000_000
    source.close()


def test_drops_are_counted_by_ring(wire):
    source = wire.open(workers=2, ring_bytes=1 << 16, block_bytes=1 << 15)
    for number in range(6000):
        wire.send(conversation(number))
    threading.Timer(0.3, source.close).start()
    lost = received = 0
    for batch in source:
        lost += batch.lost
        received += len(batch.frames)
        assert batch.sampling in (1, 2, 4, 8, 16, 32, 64)
    counters = source.counters()
    assert counters["drops_ring_0"] + counters["drops_ring_1"] == counters["kernel_drops"] == lost
    assert min(counters["drops_ring_0"], counters["drops_ring_1"]) > 0
    assert received + lost == counters["kernel_packets"] == 6000


def test_a_reader_that_falls_behind_gets_each_flow_in_order(wire):
    """Rings that fill give up the order among flows; a flow's packets are in one ring and keep theirs."""
    source = wire.open(workers=2, ring_bytes=1 << 19, block_bytes=1 << 15)
    numbers = itertools.count()
    rng = random.Random(5)
    order = defaultdict(list)
    for batch in itertools.islice(source, 120):
        for row in batch.frames:
            number = number_of(batch.data[row["offset"] :][: row["caplen"]].tobytes())
            order[number % 40].append(number)
        for _ in range(rng.choice((0, 50, 3000))):
            wire.send(conversation(next(numbers)))
    source.close()
    assert source.counters()["overload_batches"] > 0
    assert sum(map(len, order.values())) > 1000
    assert all(flow == sorted(flow) for flow in order.values())


def test_every_socket_is_closed_and_every_ring_unmapped(wire):
    def open_things():
        maps = Path("/proc/self/maps").read_text().count("socket:")
        return len(list(Path("/proc/self/fd").iterdir())), maps

    before = open_things()
    for _ in range(3):
        source = wire.open(workers=3)
        assert open_things() == (before[0] + 4, before[1] + 3)
        source.close()
        with pytest.raises(CaptureError):
            wire.open("absent0", workers=3)
        with pytest.raises(ConfigError):
            wire.open(bpf="no such filter", workers=3)
    wait_until(lambda: open_things() == before)


def test_what_this_end_sends_is_left_out_by_the_group_too(wire):
    source = wire.open("lo", workers=2)
    wire.sensor.run("ping", "-q", "-c", "3", "-i", "0.01", "127.0.0.1")
    assert len(collect(source, 0.4)) == 6  # each once, where it arrives
    assert source.counters()["outgoing_packets"] == 0


def test_the_filter_holds_for_all_rings(wire):
    source = wire.open(workers=2, bpf="udp dst port 53")
    for number in range(400):
        wire.send(conversation(number))
    assert len(collect(source, 0.4)) == 200
    assert source.counters()["kernel_packets"] == 200


def test_a_kernel_that_shares_no_interface_that_is_down_gives_all_to_the_first_ring_till_then(
    wire, monkeypatch
):
    share, refused = packet_socket.share, []

    def old_kernel(sockets, *, outgoing):
        if "state UP" not in wire.sensor.ip("link", "show", "dev", "span0"):
            refused.append(1)
            raise OSError(22, "Invalid argument")
        share(sockets, outgoing=outgoing)

    monkeypatch.setattr(packet_socket, "share", old_kernel)
    wire.sensor.ip("link", "set", "span0", "down")
    source = wire.open(workers=2)
    received = 0
    for step, batch in enumerate(itertools.islice(source, 80)):
        received += len(batch.frames)
        if step == 3:
            wire.sensor.ip("link", "set", "span0", "up")
            for number in range(100):
                wire.send(conversation(number))
        if step == 50:  # two ticks later
            assert source.counters()["packets_ring_1"] == 0
            for number in range(100):
                wire.send(conversation(number))
    source.close()
    counters = source.counters()
    assert refused
    assert received == 200
    assert counters["packets_ring_1"] > 0


@pytest.mark.parametrize("workers", [0, 17, -1])
def test_too_few_or_too_many_workers_are_refused(workers):
    with pytest.raises(ConfigError, match="workers"):
        AfPacket("lo", workers=workers)


def test_frames_of_all_rings_lie_in_one_array(wire):
    source = wire.open(workers=2)
    for number in range(200):
        wire.send(conversation(number))
    batch = next(one for one in source if one.frames.size)
    ends = batch.frames["offset"] + batch.frames["caplen"]
    assert isinstance(batch.data, np.ndarray)
    assert ends.max() <= batch.data.size == 16 << 20
    source.close()
