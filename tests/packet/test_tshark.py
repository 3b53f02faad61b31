"""Rows of real captures against those of another dissector, tshark, frame by frame.

Frames of all captures go into one file, so that tshark starts once. Compared
are the frame, the outermost link's tags, the innermost packet and its Ethernet
header, the tunnel that carried it, and the addresses of the IP header around
it. Every kind of difference has to be listed in `DIFFERENCES` with its reason.
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
from sensor.packet.columns import DecodeError, FragmentFlag, PacketKind, TunnelType
from sensor.packet.decode import Decoder
from sensor.packet.inner import outer_addresses
from sensor.sources.capture_file import CaptureFiles

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
CLASSES = {"variety", "attack", "benign", "mixed"}
FRAMES_PER_FILE = 150
LINK_TYPES = [
    1,
    113,
    276,
    101,
    12,
    14,
    228,
    229,
    0,
    108,
    9,
    50,
    51,
    104,
    107,
    105,
    127,
    119,
    163,
    192,
    239,
    8,
    129,
    123,
    100,
    106,
    258,
]

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

#: Tshark's name of a tunnel's header, what the row calls it, and where its id stands.
TUNNELS = {
    "mpls": (TunnelType.MPLS, "mpls.label"),
    "pppoes": (TunnelType.PPPOE, "pppoe.session_id"),
    "gre": (TunnelType.GRE, "gre.key"),
    "erspan": (TunnelType.ERSPAN, "erspan.spanid"),
    "vxlan": (TunnelType.VXLAN, "vxlan.vni"),
    "geneve": (TunnelType.GENEVE, "geneve.vni"),
    "gtp": (TunnelType.GTP_U, "gtp.teid"),
    "nsh": (TunnelType.NSH, "nsh.spi"),
    "l2tp": (TunnelType.L2TP, "l2tp.session"),
}

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
    *(field for _, field in TUNNELS.values()),
]

IP = {
    "ip_bytes": "ip.len",
    "ttl": "ip.ttl",
    "fragment_id": "ip.id",
    "fragment_offset": "ip.frag_offset",
    "more_fragments": "ip.flags.mf",
}
IPV6 = {"ip_bytes": "ipv6.plen", "ttl": "ipv6.hlim"}
FRAGMENT = {
    "fragment_id": "ipv6.fraghdr.ident",
    "fragment_offset": "ipv6.fraghdr.offset",
    "more_fragments": "ipv6.fraghdr.more",
}
#: Layers whose payload quotes other packets.
QUOTING = {"icmp", "icmpv6", "pim", "nhrp"}
TAGS = {"vlan": "vlan.id", "ieee8021ad": "ieee8021ad.id"}
LINK = {"eth", "ethertype", "sll", "llc", "cmd", "vntag", "etag"}
#: Fields of the header at `outer_offset`, beside those of the row.
OUTER = ("outer_src_hi", "outer_src_lo", "outer_dst_hi", "outer_dst_lo", "outer_version")


class Difference(NamedTuple):
    """One field of one frame that is not what tshark says."""

    field: str
    row: np.record
    theirs: int
    layers: list[str]


#: What the two may disagree about: the reason, and whether it holds for a `Difference`.
DIFFERENCES = {
    "reverse ARP (EtherType 0x8035) is a frame of another kind": (lambda d: d.row["ethertype"] == 0x8035),
    "a later fragment is given the ports of its first one": (
        lambda d: d.field.endswith("_port") and d.row["fragment_flags"] & FragmentFlag.PORTS_KNOWN
    ),
    "a GTP-U length that is too short for the packet inside ends tshark's dissection": (
        lambda d: d.row["tunnel"] == TunnelType.GTP_U and d.layers[-2:] == ["gtp", "ip"]
    ),
    "tshark reports an IP length beyond the frame, the row is bounded by the frame": (
        lambda d: d.field == "ip_bytes" and d.theirs > d.row["ip_bytes"]
    ),
    "a chain of extension headers longer than the cap ends undecoded": (
        lambda d: (
            d.row["error"] == DecodeError.TOO_MANY_LAYERS
            and d.field in {"protocol", "src_port", "dst_port", "fragment_id"}
        )
    ),
    "of a TCP header that is wrong or cut by a fragment, tshark drops the fields behind the ports": (
        lambda d: (
            d.row["error"] == DecodeError.BAD_TRANSPORT_HEADER
            and d.field in {*TCP, "tcp_flags", "payload_bytes"}
            and 0 in (d.theirs, d.row[d.field])
        )
    ),
    "tshark gives no payload length for the first fragment of a segment": (
        lambda d: d.field == "payload_bytes" and d.row["more_fragments"] and d.theirs == 0
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
    command = [
        "tshark",
        "-n",
        "-r",
        str(path),
        "-d",
        "udp.port==8472,vxlan",
        "-T",
        "fields",
        "-E",
        "occurrence=a",
        "-E",
        "aggregator=;",
    ]
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


class Dissection:
    """Tshark's layers of one frame; the n-th layer of a name has the n-th occurrence of its fields."""

    def __init__(self, fields):
        self.fields = fields
        self.layers = fields["frame.protocols"][0].split(":")

    def packets(self):
        """Return the positions of the IP and ARP headers, one in another; those that ICMP quotes are none."""
        last = next((i for i, name in enumerate(self.layers) if name in QUOTING), len(self.layers))
        return [i for i in range(last) if self.layers[i] in ("ip", "ipv6", "arp")]

    def take(self, position, field):
        """Return the field's values from the layer at `position` on."""
        name = self.layers[position]
        return self.fields[field][self.layers[:position].count(name) :]

    def number(self, position, field):
        return number(self.take(position, field))

    def words(self, position, field):
        return craft.words(self.take(position, field)[0])


def expected_transport(seen, at, protocol):
    """Return what tshark found in the header next to the IP header at `at`."""
    expected = dict.fromkeys(("src_port", "dst_port", "tcp_flags", *TCP), 0)
    at += 1
    while at < len(seen.layers) and seen.layers[at].startswith(("ipv6.", "ah")):
        at += 1
    if protocol in PORTS and seen.layers[at : at + 1] == [NAMES[protocol]]:
        src, dst = PORTS[protocol]
        expected.update(src_port=seen.number(at, src), dst_port=seen.number(at, dst))
        if protocol == "6":
            expected["tcp_flags"] = seen.number(at, "tcp.flags") & 0xFF
            expected.update({ours: seen.number(at, theirs) for ours, theirs in TCP.items()})
            expected["payload_bytes"] = seen.number(at, "tcp.len")
    return expected


def expected_ip(seen, at):
    """Return the row that tshark's fields of the IP header at `at` call for."""
    name = seen.layers[at]
    following = seen.layers[at + 1 :]
    fragmented = (
        "ipv6.fraghdr"
        in following[: next((i for i, n in enumerate(following) if not n.startswith(("ipv6.", "ah"))), None)]
    )
    if name == "ip":
        protocol, known = seen.take(at, "ip.proto")[0], {"51"}
        expected = {ours: seen.number(at, theirs) for ours, theirs in IP.items()}
        expected["fragment_offset"] *= 8
    else:
        protocol, known = seen.take(at, "ipv6.nxt")[0], CHAIN
        expected = {ours: seen.number(at, theirs) for ours, theirs in IPV6.items()}
        expected["ip_bytes"] += 40
        if fragmented:
            where = seen.layers.index("ipv6.fraghdr", at)
            expected.update({ours: seen.number(where, theirs) for ours, theirs in FRAGMENT.items()})
    chain = at + 1
    while (
        protocol in known
        and chain < len(seen.layers)
        and seen.take(chain, CHAIN[protocol])
        and seen.layers[chain].startswith(("ipv6.", "ah", "mipv6", "hip", "shim6"))
    ):
        protocol = seen.take(chain, CHAIN[protocol])[0]
        chain += 1
    (src_hi, src_lo), (dst_hi, dst_lo) = seen.words(at, f"{name}.src"), seen.words(at, f"{name}.dst")
    expected.update(kind=PacketKind.IP, ip_version=4 if name == "ip" else 6, protocol=int(protocol))
    expected.update(src_hi=src_hi, src_lo=src_lo, dst_hi=dst_hi, dst_lo=dst_lo)
    return expected | expected_transport(seen, at, protocol)


def expected_link(seen, at):
    """Return the MAC addresses next to the header at `at`, and the tags of the outermost link."""
    expected = {}
    frames = [i for i, name in enumerate(seen.layers[:at]) if name == "eth"]
    if frames:
        for ours, theirs in (("src_mac", "eth.src"), ("dst_mac", "eth.dst")):
            expected[ours] = int(seen.take(frames[-1], theirs)[0].replace(":", ""), 16)
    ids = []
    for i, name in enumerate(seen.layers):
        if name in TAGS:
            ids.append(seen.number(i, TAGS[name]))
        elif name not in LINK:
            break
    return expected | {
        "vlan": number([str(i) for i in ids]),
        "vlan_inner": number([str(i) for i in ids[1:]]),
        "vlan_tags": len(ids),
    }


def expected_tunnel(seen, at):
    """Return the innermost of the tunnels before the header at `at`, and its id."""
    for i in range(at - 1, -1, -1):
        name = seen.layers[i]
        if name in TUNNELS:
            kind, field = TUNNELS[name]
            # Not every GRE header has a key, and ERSPAN's are numbered apart.
            known = name != "gre" or len(seen.fields[field]) == seen.layers.count("gre")
            return {"tunnel": kind} | ({"tunnel_id": seen.number(i, field)} if known else {})
        if name in ("ip", "ipv6"):
            six = name == "ip" and seen.layers[at] == "ipv6"
            return {"tunnel": TunnelType.SIX_IN_FOUR if six else TunnelType.IP_IN_IP}
    return {"tunnel": TunnelType.NONE, "tunnel_id": 0, "tunnel_layers": 0}


def expected_row(fields):
    """Return the row, as far as it is compared, that tshark's fields call for."""
    seen = Dissection(fields)
    expected = {"wirelen": number(fields["frame.len"]), "caplen": number(fields["frame.cap_len"])}
    packets = [i for i in seen.packets() if seen.layers[i] == "arp" or seen.take(i, f"{seen.layers[i]}.dst")]
    if not packets:
        return expected | {"ip_version": 0, "tunnel": TunnelType.NONE}
    at = packets[-1]
    expected |= expected_link(seen, at) | expected_tunnel(seen, at)
    carriers = [i for i in packets[:-1] if seen.layers[i] != "arp"]
    words = (0, 0, 0, 0, 0)
    if carriers:
        name = seen.layers[carriers[-1]]
        pairs = seen.words(carriers[-1], f"{name}.src"), seen.words(carriers[-1], f"{name}.dst")
        words = (*pairs[0], *pairs[1], 4 if name == "ip" else 6)
    expected |= dict(zip(OUTER, words, strict=True))
    if seen.layers[at] == "arp":
        expected.update(kind=PacketKind.ARP, arp_operation=seen.number(at, "arp.opcode"))
        for ours, theirs in (("src_lo", "arp.src.proto_ipv4"), ("dst_lo", "arp.dst.proto_ipv4")):
            found = seen.take(at, theirs)
            expected[ours] = craft.words(found[0])[1] if found else 0
        return expected
    return expected | expected_ip(seen, at)


def whole_row(row, data):
    """Return the row as a dict, with the addresses of the header at `outer_offset`."""
    found = {name: int(row[name]) for name in row.dtype.names}
    return found | dict(zip(OUTER, outer_addresses(data, int(row["outer_offset"])), strict=True))


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "MANIFEST.tsv").exists(), reason="the folder of real captures is not here")
@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_real_captures_are_decoded_as_tshark_decodes_them(tmp_path):
    every = real_frames()
    frames = [frame for frame in every if frame[1] in LINK_TYPES]
    assert len({path for path, *_ in frames}) >= 300
    seen = dissect(frames, tmp_path / "frames.pcapng")
    paths, link_types, wirelens, data = zip(*frames, strict=True)
    packets = craft.batch(data, link_type=link_types, wirelens=wirelens)
    rows = Decoder(len(frames)).decode(packets)
    compared, explained, unexplained = 0, Counter(), []
    for path, packet, fields in zip(paths, rows, seen, strict=True):
        layers = fields["frame.protocols"][0].split(":")
        row = whole_row(packet, packets.data)
        for field, theirs in expected_row(fields).items():
            compared += 1
            if row[field] != theirs:
                difference = Difference(field, row, theirs, layers)
                reason = next((text for text, holds in DIFFERENCES.items() if holds(difference)), None)
                explained[reason] += 1
                if reason is None:
                    unexplained.append(
                        (
                            path,
                            field,
                            row[field],
                            theirs,
                            fields["frame.protocols"][0],
                            row["error"],
                            row["tunnel"],
                        )
                    )
    assert not unexplained
    assert set(explained) == set(DIFFERENCES), "a reason that explains nothing is to be removed"
    assert explained.total() <= compared / 10_000
