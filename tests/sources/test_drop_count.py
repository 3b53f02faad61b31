"""What captures say of packets that they lack reaches the batches, once."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from craft_capture import (
    INTERFACE_STATISTICS,
    block,
    enhanced_packet,
    interface_description,
    option,
    section_header,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from sensor.sources.capture_file import CaptureFiles
from sensor.sources.paced import Paced

SIGN = {"little": "<", "big": ">"}
ORDERS = ["little", "big"]


def count(code, value, order="little"):
    return option(code, struct.pack(f"{SIGN[order]}Q", value), order)


def statistics(*options, order="little", interface=0):
    head = struct.pack(f"{SIGN[order]}III", interface, 0, 5)
    return block(INTERFACE_STATISTICS, head + b"".join(options), order)


def packet(*options, order="little", interface=0, data=b"abc"):
    return enhanced_packet(1, data, order, interface=interface, options=b"".join(options))


def read(tmp_path: Path, *parts: bytes, order="little", **options: int) -> CaptureFiles:
    path = tmp_path / "capture"
    described = interface_description(order) * 2
    path.write_bytes(section_header(order) + described + b"".join(parts))
    return CaptureFiles(path, **options)


def lost(source):
    return [(len(batch.frames), batch.lost) for batch in source]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("data", [b"", b"a", b"abcd", bytes(61)])
def test_drops_before_a_packet_are_in_its_batch(tmp_path, order, data):
    first = packet(order=order, data=data)
    second = packet(option(1, b"a comment", order), count(4, 7, order), order=order, data=data)
    source = read(tmp_path, first, second, first, order=order, batch_frames=1)
    assert lost(source) == [(1, 0), (1, 7), (1, 0)]
    assert source.counters()["frames_dropped"] == 7


@pytest.mark.parametrize("order", ORDERS)
def test_statistics_are_sums_since_the_beginning(tmp_path, order):
    def said(interface, system, number=0):
        options = count(4, 10**6, order), count(5, interface, order), count(7, system, order), option(0, b"")
        return statistics(*options, order=order, interface=number)

    one = packet(order=order)
    parts = [one, said(3, 4), one, said(3, 10), said(1, 1, 1), one, said(3, 10)]
    assert lost(read(tmp_path, *parts, order=order, batch_frames=1)) == [(1, 0), (1, 7), (1, 8)]


def test_what_stands_behind_the_last_packet_comes_as_a_batch_without_any(tmp_path):
    source = read(tmp_path, packet(), statistics(count(5, 9)))
    batches = [(len(batch.frames), batch.lost, batch.now) for batch in source]
    assert [batch[:2] for batch in batches] == [(1, 9)]  # read on with the packet
    source = read(tmp_path, packet(), statistics(count(5, 9)), batch_frames=1)
    batches = [(len(batch.frames), batch.lost, batch.now) for batch in source]
    assert [batch[:2] for batch in batches] == [(1, 0), (0, 9)]
    assert batches[0][2] == batches[1][2]


def test_drops_that_both_kinds_of_block_tell_of_count_once(tmp_path):
    source = read(tmp_path, packet(count(4, 5)), packet(count(4, 2)), statistics(count(5, 9)))
    assert sum(n for _, n in lost(source)) == 9
    source = read(tmp_path, packet(count(4, 5)), statistics(count(5, 3)))
    assert sum(n for _, n in lost(source)) == 5


@pytest.mark.parametrize(
    "options",
    [
        (option(4, b"\x01\0\0\0"),),  # too short
        (option(0, b""), count(4, 5)),  # behind the end
        (struct.pack("<HH", 4, 8),),  # its value is missing
        (struct.pack("<HH", 1, 60_000), bytes(12)),  # longer than the block
        (option(1, b"") * 32, count(4, 5)),  # too far back
    ],
)
def test_what_is_no_count_counts_nothing(tmp_path, options):
    source = read(tmp_path, packet(*options))
    assert lost(source) == [(1, 0)]


def test_statistics_of_an_unknown_interface_or_cut_short_count_nothing(tmp_path):
    short = block(INTERFACE_STATISTICS, bytes(4))
    source = read(tmp_path, packet(), statistics(count(5, 9), interface=2), short)
    assert lost(source) == [(1, 0)]
    assert source.counters()["blocks_skipped_statistics"] == 2


def test_absurd_counts_do_not_overflow(tmp_path):
    blocks = [packet(count(4, 2**64 - 1)), statistics(count(5, 2**64 - 1), count(7, 2**63))] * 40_000
    source = read(tmp_path, *blocks)
    losses = [n for _, n in lost(source)]
    assert min(losses) >= 0
    assert sum(losses) == source.counters()["frames_dropped"] == 2**62


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.booleans(), st.sampled_from(ORDERS))
def test_options_of_any_bytes_do_no_harm(tmp_path_factory, noise, of_packet, order):
    folder = tmp_path_factory.mktemp("noise")
    noise += bytes(-len(noise) % 4)
    part = packet(noise, order=order) if of_packet else statistics(noise, order=order)
    source = read(folder, part, packet(order=order), order=order)
    losses = lost(source)
    assert sum(rows for rows, _ in losses) == 1 + of_packet
    assert all(0 <= n <= 2**49 for _, n in losses)


def test_played_at_the_captured_speed_they_are_said_once(tmp_path):
    source = read(tmp_path, packet(), packet(count(4, 7)), packet(), statistics(count(5, 9)))
    assert sum(n for _, n in lost(Paced(source, 1000.0))) == 9
