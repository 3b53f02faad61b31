"""What the live source hands over: frames, tags, lengths, counts; on a cable between two namespaces."""

from __future__ import annotations

import errno
import itertools
import os
import socket
import struct
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from lab.network import inside, missing_tools, wait_until
from lab.wire import OTHER, Wire, collect, frame, udp

from sensor.errors import CaptureError, ConfigError
from sensor.sources import ring_memory

REASON = missing_tools()
pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(REASON), reason=REASON or "the lab can run")]


@pytest.fixture
def wire():
    with Wire() as made:
        yield made


def test_every_frame_comes_once_in_order_and_unchanged(wire):
    source = wire.open()
    sent = [frame(struct.pack("!I", number) + os.urandom(number % 1400)) for number in range(5000)]
    before = time.time_ns()
    for data in sent:
        wire.send(data)
    got = collect(source)
    assert [data for data, _ in got] == sent
    times = [int(row["time"]) for _, row in got]
    assert before <= times[0] <= times[-1] <= time.time_ns()
    assert all(row["wirelen"] == row["caplen"] == len(data) for data, row in got)
    assert all(row["link_type"] == 1 for _, row in got)
    counters = source.counters()
    assert counters["packets"] == counters["kernel_packets"] == 5000
    assert counters["bytes"] == sum(map(len, sent))
    assert counters["kernel_drops"] == counters["malformed_packets"] == 0
    assert counters["sampling"] == 1
    assert "drops_ring_0" not in counters


def test_a_stripped_vlan_tag_is_handed_over_beside_the_frame(wire):
    source = wire.open()
    inner = b"\x81\x00\x00\x07"
    wire.send(udp(9, tags=b"\x81\x00\xa0\x05"))
    wire.send(udp(9, tags=b"\x88\xa8\x00\x64" + inner))
    wire.send(udp(9))
    got = collect(source, 0.5)
    assert [(int(row["vlan_tpid"]), int(row["vlan_tci"])) for _, row in got] == [
        (0x8100, 0xA005),
        (0x88A8, 0x64),
        (0, 0),
    ]
    # The outer tag is gone from the bytes, the inner one of a double tag is still there.
    assert [data for data, _ in got] == [udp(9), udp(9, tags=inner), udp(9)]
    assert source.counters()["vlan_packets"] == 2


def test_the_filter_keeps_what_matches_and_nothing_else_is_counted(wire):
    source = wire.open(bpf="udp port 53")
    for port in (53, 54, 53, 55):
        wire.send(udp(port))
    wire.send(udp(53, tags=b"\x81\x00\x00\x05"))
    wire.send(frame(b"no IP"))
    assert [data for data, _ in collect(source, 0.5)] == [udp(53)] * 3
    assert source.counters()["kernel_packets"] == 3


@pytest.mark.parametrize("expression", ["", "udp"])
def test_the_snapshot_length_cuts_and_keeps_the_wire_length(wire, expression):
    source = wire.open(bpf=expression, snaplen=30)
    wire.send(udp(53))
    [(data, row)] = collect(source, 0.5)
    assert data == udp(53)[:30]
    assert row["wirelen"] == len(udp(53))
    assert source.counters()["truncated_packets"] == 1


def test_frames_for_others_come_and_promiscuous_mode_is_on_while_open(wire):
    def promiscuity():
        shown = wire.sensor.ip("-d", "link", "show", "dev", "span0")
        return int(shown.split("promiscuity ")[1].split()[0])

    source = wire.open()
    assert promiscuity() == 1
    wire.send(frame(b"for somebody else", to=OTHER))
    assert len(collect(source, 0.4)) == 1
    wait_until(lambda: promiscuity() == 0)
    quiet = wire.open(promiscuous=False)
    assert promiscuity() == 0
    quiet.close()


def test_what_this_end_sends_is_left_out_unless_asked_for(wire):
    with inside(wire.sensor), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as own:
        own.bind(("span0", 0))
        silent = wire.open()
        own.send(frame(b"mine"))
        assert collect(silent, 0.4) == []
        both = wire.open(outgoing=True)
        own.send(frame(b"mine"))
        wire.send(frame(b"theirs"))
        assert [data for data, _ in collect(both, 0.4)] == [frame(b"mine"), frame(b"theirs")]


def test_loopback_packets_are_seen_once(wire):
    source = wire.open("lo", outgoing=True)
    with inside(wire.sensor), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        for number in range(100):
            sock.sendto(struct.pack("!I", number), sock.getsockname())
    got = collect(source, 0.5)
    assert [data[-4:] for data, _ in got] == [struct.pack("!I", number) for number in range(100)]
    assert {int(row["link_type"]) for _, row in got} == {1}


def test_an_interface_without_link_header_gives_bare_ip(wire):
    with wire.tunnel() as tun:
        source = wire.open("tun7")
        os.write(tun, udp(53)[14:])
        [(data, row)] = collect(source, 0.5)
    assert data == udp(53)[14:]
    assert row["link_type"] == 101


def test_an_unknown_device_type_is_named(wire):
    with wire.tunnel(device_type=801), pytest.raises(CaptureError, match="device type 801"):
        wire.open("tun7")


def test_a_ring_that_overflows_accounts_for_every_packet(wire):
    source = wire.open(ring_bytes=1 << 16, block_bytes=1 << 15)
    assert source.counters()["ring_bytes"] == 1 << 16
    for number in range(5000):
        wire.send(frame(struct.pack("!I", number) + bytes(200)))
    threading.Timer(0.4, source.close).start()
    got, lost, levels = 0, [], []
    for batch in source:
        got += len(batch.frames)
        lost.append(batch.lost)
        levels.append(batch.sampling)
    counters = source.counters()
    assert lost[0] > 4000  # said at once
    assert sum(lost) == counters["kernel_drops"]
    assert levels[0] == 64
    assert counters["overload_batches"] == sum(level > 1 for level in levels)
    assert counters["ring_fill_percent"] == 100
    assert counters["kernel_drops"] > 4000
    assert counters["freezes"] >= 1
    assert got + counters["kernel_drops"] == counters["kernel_packets"] == 5000


def test_a_missing_interface_names_those_there_are(wire):
    with pytest.raises(CaptureError, match=r"'nope0'.*lo, span0") as error:
        wire.open("nope0")
    assert error.value.exit_code == 1


class Scarce(socket.socket):
    """A packet socket on a machine that has memory for six blocks."""

    def setsockopt(self, level, option, value):
        if option == ring_memory._PACKET_RX_RING and struct.unpack_from("=2I", value)[1] > 6:
            raise OSError(errno.ENOMEM, "no memory")
        super().setsockopt(level, option, value)


@pytest.mark.parametrize(
    ("asked", "pages", "blocks"), [(64, 1 << 22, 4), (1 << 20, 1 << 22, 4), (64, 3000, 5)]
)
def test_a_ring_that_does_not_fit_in_memory_is_halved(monkeypatch, asked, pages, blocks):
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": pages}.__getitem__)
    block = 1 << 19
    with Scarce(socket.AF_PACKET, socket.SOCK_RAW, 0) as scarce:
        ring = ring_memory.map_rings([scarce], ring_memory.RingSize(asked * block, block, 100))
        assert len(ring) == blocks * block
        ring.close()


@pytest.mark.parametrize("options", [{"lag_secs": 0.2}, {"block_bytes": 5000}, {"block_bytes": 100}])
def test_impossible_settings_are_refused(wire, options):
    with pytest.raises(ConfigError):
        wire.open(**options)


def test_without_the_permission_the_error_says_how_to_give_it():
    code = (
        "import os, sys\n"
        "from sensor.errors import CaptureError\n"
        "from sensor.sources.af_packet import AfPacket\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: AfPacket('lo')\n"
        "except CaptureError as error: print(error.exit_code, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("77 ")
    assert "CAP_NET_RAW" in done.stdout
    assert "setcap" in done.stdout


def test_a_burst_by_a_real_sender_is_counted_to_the_last_packet(wire, tmp_path):
    """tcpreplay at full speed: what was received and what the kernel dropped is what was sent."""
    if reason := missing_tools("tcpreplay"):
        pytest.skip(reason)
    capture = tmp_path / "burst.pcap"
    records = (
        struct.pack("<IIII", 1, n, 64, 64) + frame(struct.pack("!I", n) + bytes(46)) for n in range(1000)
    )
    capture.write_bytes(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(records))
    source = wire.open(ring_bytes=64 << 20)
    replay = ("tcpreplay", "-q", "-K", "-t", "-l", "100", "-i", "mirror0", str(capture))
    sender = threading.Thread(target=wire.network.hosts["switch"].run, args=replay)
    sender.start()
    received, order = 0, itertools.count()
    for batch in source:
        offsets = batch.frames["offset"][:, None] + np.arange(14, 18)
        numbers = batch.data[offsets].astype(np.uint32) @ np.array([1 << 24, 1 << 16, 1 << 8, 1], np.uint32)
        if source.counters()["kernel_drops"] == 0:
            assert all(number == next(order) % 1000 for number in numbers)
        received += len(batch.frames)
        if not sender.is_alive() and not batch.frames.size:
            source.close()
    counters = source.counters()
    assert received + counters["kernel_drops"] == counters["kernel_packets"] == 100_000
