"""Rows of real captures against those of another dissector, tshark, frame by frame.

Frames of all captures go into one file, so that tshark starts once. Compared
are the outermost headers: what tshark found inside a tunnel is not looked at.
Every kind of difference has to be listed in `DIFFERENCES` with its reason.
"""

import csv
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import craft
import craft_capture
import numpy as np
import pytest

from sensor.packet.batch import empty_batch
from sensor.packet.columns import DecodeError, PacketKind
from sensor.packet.decode import Decoder
from sensor.sources.capture_file import CaptureFiles

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
CLASSES = {"variety", "attack", "benign", "mixed"}
FRAMES_PER_FILE = 150
LINK_TYPES = [1, 113, 276, 101, 12, 14, 228, 229, 0, 108]

PREFERENCES = [
    "ip.defragment:FALSE",
    "ipv6.defragment:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
    "tcp.relative_sequence_numbers:FALSE",
]

#: Next-header fields of IPv6's extension headers, by the header's number.
CHAIN = {
    "0": "ipv6.hopopts.nxt",
    "43": "ipv6.routing.nxt",
    "44": "ipv6.fraghdr.nxt",
    "51": "ah.next_header",
    "60": "ipv6.dstopts.nxt",
    "135": "mip6.proto",
    "139": "hip.proto",
    "140": "shim6.nxt",
}
PORTS = {
    "1": ("icmp.type", "icmp.code"),
    "6": ("tcp.srcport", "tcp.dstport"),
    "17": ("udp.srcport", "udp.dstport"),
    "33": ("dccp.srcport", "dccp.dstport"),
    "58": ("icmpv6.type", "icmpv6.code"),
    "132": ("sctp.srcport", "sctp.dstport"),
    "136": ("udp.srcport", "udp.dstport"),
}
TCP = {"tcp_seq": "tcp.seq_raw", "tcp_ack": "tcp.ack_raw", "tcp_window": "tcp.window_size_value"}
NAMES = {"1": "icmp", "6": "tcp", "17": "udp", "33": "dccp", "58": "icmpv6", "132": "sctp", "136": "udplite"}

FIELDS = [
    *("frame.len", "frame.cap_len", "frame.protocols", "eth.src", "eth.dst", "vlan.id", "ieee8021ad.id"),
    *(
        "ip.version",
        "ip.src",
        "ip.dst",
        "ip.proto",
        "ip.len",
        "ip.ttl",
        "ip.id",
        "ip.frag_offset",
        "ip.flags.mf",
    ),
    *("ipv6.version", "ipv6.src", "ipv6.dst", "ipv6.nxt", "ipv6.plen", "ipv6.hlim"),
    *("ipv6.fraghdr.offset", "ipv6.fraghdr.more", "ipv6.fraghdr.ident", "tcp.flags", "tcp.len"),
    *("arp.opcode", "arp.src.proto_ipv4", "arp.dst.proto_ipv4"),
    *CHAIN.values(),
    *(name for pair in list(PORTS.values())[:-1] for name in pair),
    *TCP.values(),
]

#: EtherTypes that stand between Ethernet and IP and are not decoded: what follows counts as other.
BETWEEN = {"mpls", "pppoes", "nsh", "etag", "vntag", "cmd"}


class Difference(NamedTuple):
    """One field of one frame that is not what tshark says."""

    field: str
    row: np.record
    theirs: int
    layers: list[str]


#: What the two may disagree about: the reason, and whether it holds for a `Difference`.
DIFFERENCES = {
    "headers between Ethernet and IP that are not tags make a frame of another kind": (
        lambda d: d.row.kind == PacketKind.OTHER and BETWEEN & set(d.layers)
    ),
    "tshark reports an IP length beyond the frame, the row is bounded by the frame": (
        lambda d: d.field == "ip_bytes" and d.theirs > d.row.ip_bytes
    ),
    "a chain of extension headers longer than the cap ends undecoded": (
        lambda d: (
            d.row.error == DecodeError.TOO_MANY_LAYERS
            and d.field in {"protocol", "src_port", "dst_port", "fragment_id"}
        )
    ),
    "of a TCP header that is wrong or cut by a fragment, tshark drops the fields behind the ports": (
        lambda d: (
            d.row.error == DecodeError.BAD_TRANSPORT_HEADER
            and d.field in {*TCP, "tcp_flags", "payload_bytes"}
            and 0 in (d.theirs, d.row[d.field])
        )
    ),
    "tshark gives no payload length for the first fragment of a segment": (
        lambda d: d.field == "payload_bytes" and d.row.more_fragments and d.theirs == 0
    ),
}


def real_frames():
    """Return (path, link type, wire length, bytes) of the first frames of every capture."""
    with (DATA / "MANIFEST.tsv").open() as lines:
        listed = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    frames = []
    for path in sorted(row["path"] for row in listed if row["class"].split(":")[0] in CLASSES):
        source = CaptureFiles([DATA / path], batch_frames=FRAMES_PER_FILE)
        batch = next(iter(source), empty_batch(0))
        for frame in batch.frames[:FRAMES_PER_FILE]:
            data = batch.data[frame.offset : frame.offset + frame.caplen].tobytes()
            frames.append((path, int(frame.link_type), int(frame.wirelen), data))
        source.close()
    return frames


def dissect(frames, path):
    """Return tshark's fields, a dict of lists of strings for each frame."""
    captured = [
        craft_capture.Captured(10**18 + i, data, wire, LINK_TYPES.index(link_type))
        for i, (_, link_type, wire, data) in enumerate(frames)
    ]
    path.write_bytes(craft_capture.pcapng_bytes(captured, link_types=LINK_TYPES))
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=;"]
    command += [word for preference in PREFERENCES for word in ("-o", preference)]
    command += [word for name in FIELDS for word in ("-e", name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    lines = done.stdout.rstrip("\n").split("\n")
    return [
        dict(zip(FIELDS, map(str.split, line.replace(";", " ").split("\t")), strict=True)) for line in lines
    ]


def number(values):
    """Return the first occurrence as an integer, whatever base tshark writes it in; absent is 0."""
    return int(values[0], 0) if values else 0


def expected_transport(seen, outer, protocol):
    """Return what tshark found in the header next to the outermost IP header."""
    layers = seen["frame.protocols"][0].split(":")
    after = [name for name in layers[layers.index(outer) + 1 :] if not name.startswith(("ipv6.", "ah"))]
    expected = dict.fromkeys(("src_port", "dst_port", "tcp_flags", *TCP), 0)
    if protocol in PORTS and after[:1] == [NAMES[protocol]]:
        src, dst = PORTS[protocol]
        expected.update(src_port=number(seen[src]), dst_port=number(seen[dst]))
        if protocol == "6":
            expected["tcp_flags"] = number(seen["tcp.flags"]) & 0xFF
            expected.update({ours: number(seen[theirs]) for ours, theirs in TCP.items()})
            expected["payload_bytes"] = number(seen["tcp.len"])
    return expected


def expected_ip(seen, outer):
    """Return the row that tshark's fields of the outermost IP header call for."""
    take = {name: list(values) for name, values in seen.items()}
    if outer == "ip":
        protocol, known = take["ip.proto"][0], {"51"}
        expected = {
            "ip_bytes": number(seen["ip.len"]),
            "ttl": number(seen["ip.ttl"]),
            "fragment_id": number(seen["ip.id"]),
            "fragment_offset": 8 * number(seen["ip.frag_offset"]),
            "more_fragments": number(seen["ip.flags.mf"]),
        }
    else:
        protocol, known = take["ipv6.nxt"][0], CHAIN
        expected = {
            "ip_bytes": 40 + number(seen["ipv6.plen"]),
            "ttl": number(seen["ipv6.hlim"]),
            "fragment_id": number(seen["ipv6.fraghdr.ident"]),
            "fragment_offset": number(seen["ipv6.fraghdr.offset"]),
            "more_fragments": number(seen["ipv6.fraghdr.more"]),
        }
    while protocol in known and take[CHAIN[protocol]]:
        protocol = take[CHAIN[protocol]].pop(0)
    src_hi, src_lo = craft.words(seen[f"{outer}.src"][0])
    dst_hi, dst_lo = craft.words(seen[f"{outer}.dst"][0])
    expected.update(kind=PacketKind.IP, ip_version=number(seen[f"{outer}.version"]), protocol=int(protocol))
    expected.update(src_hi=src_hi, src_lo=src_lo, dst_hi=dst_hi, dst_lo=dst_lo)
    return expected | expected_transport(seen, outer, protocol)


def expected_row(seen):
    """Return the row, as far as it is compared, that tshark's fields call for."""
    expected = {"wirelen": number(seen["frame.len"]), "caplen": number(seen["frame.cap_len"])}
    layers = seen["frame.protocols"][0].split(":")
    for ours, theirs in (("src_mac", "eth.src"), ("dst_mac", "eth.dst")):
        if layers[0] == "eth":
            expected[ours] = int(seen[theirs][0].replace(":", ""), 16)
    outer = next((name for name in layers if name in ("ip", "ipv6", "arp")), None)
    before = layers[: layers.index(outer)] if outer else layers
    tags = {"vlan": iter(seen["vlan.id"]), "ieee8021ad": iter(seen["ieee8021ad.id"])}
    ids = [next(tags[name]) for name in before if name in tags]
    expected.update(vlan=number(ids), vlan_inner=number(ids[1:]), vlan_tags=len(ids))
    if outer == "arp":
        expected.update(kind=PacketKind.ARP, arp_operation=number(seen["arp.opcode"]))
        for ours, theirs in (("src_lo", "arp.src.proto_ipv4"), ("dst_lo", "arp.dst.proto_ipv4")):
            expected[ours] = craft.words(seen[theirs][0])[1] if seen[theirs] else 0
    elif outer and seen[f"{outer}.dst"]:
        expected |= expected_ip(seen, outer)
    else:
        expected["ip_version"] = 0
    return expected


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "MANIFEST.tsv").exists(), reason="the folder of real captures is not here")
@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_real_captures_are_decoded_as_tshark_decodes_them(tmp_path):
    every = real_frames()
    frames = [frame for frame in every if frame[1] in LINK_TYPES]
    assert len({path for path, *_ in frames}) >= 300
    seen = dissect(frames, tmp_path / "frames.pcapng")
    paths, link_types, wirelens, data = zip(*frames, strict=True)
    rows = Decoder(len(frames)).decode(craft.batch(data, link_type=link_types, wirelens=wirelens))
    compared, explained, unexplained = 0, Counter(), []
    for path, row, fields in zip(paths, rows, seen, strict=True):
        layers = fields["frame.protocols"][0].split(":")
        for field, theirs in expected_row(fields).items():
            compared += 1
            if row[field] != theirs:
                difference = Difference(field, row, theirs, layers)
                reason = next((text for text, holds in DIFFERENCES.items() if holds(difference)), None)
                explained[reason] += 1
                if reason is None:
                    unexplained.append((path, field, int(row[field]), theirs, layers))
    assert not unexplained
    assert set(explained) == set(DIFFERENCES), "a reason that explains nothing is to be removed"
    assert explained.total() <= compared / 1000
