"""Packets of real captures, cut after each byte: a field is the whole packet's, or absent.

`TRUNCATED_TUNNEL` says that a packet inside was not captured and the row is that
of the packet around it; such rows are compared with the whole frame's outermost
packet, unless it is one in between.
"""

import csv
from pathlib import Path

import craft
import numpy as np
import pytest

from sensor.errors import CaptureError
from sensor.packet.batch import empty_batch
from sensor.packet.columns import PACKET, DecodeError, PacketKind
from sensor.packet.decode import Decoder
from sensor.sources.capture_file import CaptureFiles

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
CLASSES = {"variety", "attack", "benign", "mixed", "malformed"}
#: Every so many captures one is taken, and so many frames of it.
EVERY, FRAMES = 1, 4
CUTS = range(129)

#: Fields that measure what was captured, or what was read so far; a second
#: fragment header overrides the first, and a tunnel is known only to its end.
MEASURED = {
    "time",
    "caplen",
    "error",
    "kind",
    "payload_captured",
    "vlan_tags",
    "fragment_id",
    "more_fragments",
    "fragment_flags",
}
ABSENT = {"payload_offset": -1, "outer_offset": -1, "network_offset": -1}
#: Behind labels these are first the outermost link's.
LINK = ("src_mac", "dst_mac", "ethertype")
INSIDE = ("tunnel", "tunnel_id", "tunnel_layers", "outer_offset")


def real_frames(every, count):
    """Return (link type, wire length, bytes) of the first frames of some captures, and how many captures."""
    with (DATA / "MANIFEST.tsv").open() as lines:
        listed = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    paths = sorted(row["path"] for row in listed if row["class"].split(":")[0] in CLASSES)
    frames, captures = [], 0
    for path in paths[::every]:
        source = CaptureFiles([DATA / path], batch_frames=count)
        try:
            batch = next(iter(source), empty_batch(0))
        except CaptureError:  # malformed from its first block on
            continue
        for frame in batch.frames[:count]:
            data = batch.data[frame.offset : frame.offset + frame.caplen].tobytes()
            frames.append((int(frame.link_type), int(frame.wirelen), data))
        captures += len(batch.frames) > 0
        source.close()
    return frames, captures


def decoded(frames, cut, mode):
    """Return the rows of the frames' first `cut` bytes, offsets counted from each frame's start."""
    pieces = [data[:cut] for _, _, data in frames]
    packets = craft.batch(
        pieces,
        [10**18] * len(frames),
        [link_type for link_type, _, _ in frames],
        [max(wire, len(data)) for _, wire, data in frames],
    )
    rows = Decoder(len(frames), tunnels=mode).decode(packets)
    for name in ABSENT:
        rows[name] -= np.where(rows[name] >= 0, packets.frames["offset"], 0)
    return rows


def wrong_fields(rows, whole, skipped=()):
    """Return (field, rows in which it is neither the whole packet's nor absent)."""
    for name in PACKET.names:
        if name not in MEASURED and name not in skipped:
            wrong = (rows[name] != whole[name]) & (rows[name] != ABSENT.get(name, 0))
            if wrong.any():
                yield name, np.flatnonzero(wrong)


def check(frames):
    """Check every cut of all frames; return how many rows that was."""
    inner, outer = (decoded(frames, None, mode) for mode in ("inner", "outer"))
    for cut in CUTS:
        rows = decoded(frames, cut, "outer")
        read = rows["kind"] == outer["kind"]
        assert not list(wrong_fields(rows[read], outer[read], INSIDE)), cut
        assert not list(wrong_fields(rows[~read], outer[~read], (*INSIDE, *LINK))), cut
        short = np.array([cut < len(data) for _, _, data in frames])
        assert (rows["payload_captured"] <= outer["payload_captured"]).all()
        rows = decoded(frames, cut, "inner")
        # What is inside was not reached: fewer tunnels, a code that says so, and the row is that of
        # the packet around it. Without one, what is known of the link is the outermost link's.
        around = rows["tunnel_layers"] < inner["tunnel_layers"]
        assert (short | ~around).all()
        assert (rows["error"][around] != DecodeError.NONE).all(), cut
        first = around & (rows["tunnel_layers"] == 0)
        known = first & (rows["kind"] == PacketKind.IP)
        assert not list(wrong_fields(rows[known], outer[known], INSIDE)), cut
        assert not list(wrong_fields(rows[first], outer[first], (*INSIDE, *LINK))), cut
        assert not list(wrong_fields(rows[~around], inner[~around])), cut
    return 2 * len(CUTS) * len(frames)


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "MANIFEST.tsv").exists(), reason="the folder of real captures is not here")
def test_a_cut_packet_has_the_whole_ones_fields_or_none():
    frames, captures = real_frames(EVERY, FRAMES)
    assert captures >= 1000
    assert check(frames) >= 100_000
