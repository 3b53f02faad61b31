"""Flow records of real captures against another dissector's packets, added up by conversation.

tshark dissects the same frames; its IP lengths are summed for each pair of
ends, as the records of the meter are. Every kind of difference has to be listed
in `DIFFERENCES` with its reason, and together they are rare.
"""

import shutil
import subprocess
from collections import Counter, defaultdict

import craft_capture
import pytest
from flow_totals import DATA, captures, summed, total, totals

from sensor.sources.capture_file import CaptureFiles

CAPTURES = 300
MOST_PACKETS = 3000
#: Ethernet, raw IP and cooked captures; of the others not every frame is given the same by both.
LINK_TYPES = [1, 101, 113, 276]
#: Conversations are compared whole: nothing times out.
TIMEOUTS = dict.fromkeys(
    ["idle_timeout_secs", "unanswered_timeout_secs", "active_timeout_secs", "linger_secs"], 1e6
)
PREFERENCES = ["ip.defragment:FALSE", "ipv6.defragment:FALSE", "tcp.desegment_tcp_streams:FALSE"]
FIELDS = [
    *(
        "frame.protocols",
        "frame.len",
        "vlan.id",
        "ieee8021ad.id",
        "tcp.flags",
        "ip.frag_offset",
        "ip.flags.mf",
    ),
    *("ip.src", "ip.dst", "ip.len", "ipv6.src", "ipv6.dst", "ipv6.plen", "ipv6.fraghdr.ident"),
    *("tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport"),
]
NUMBERS = {"tcp": 6, "udp": 17}
SYN_ACK = 0x12
THOUSANDTH = 1000
DIFFERENCES = {
    "fragments: the meter gives later ones the ports of the first": lambda one: one["fragmented"],
    "an IP length beyond the frame: the meter counts what the frame held": (
        lambda one: one["beyond"] and one["packets"]
    ),
}


def merged(path):
    """Write the frames of all captures into one file, one capture after the other in time."""
    frames, now = [], 10**18
    for name in captures(CAPTURES, most_packets=MOST_PACKETS):
        begin, latest = None, now
        for batch in CaptureFiles(DATA / name):
            for frame in batch.frames:
                if frame.link_type not in LINK_TYPES:
                    continue
                begin = int(frame.time) if begin is None else begin
                latest = max(latest, now + int(frame.time) - begin)
                data = batch.data[frame.offset : frame.offset + frame.caplen].tobytes()
                interface = LINK_TYPES.index(frame.link_type)
                frames.append(craft_capture.Captured(latest, data, int(frame.wirelen), interface))
        now = latest + 1
    path.write_bytes(craft_capture.pcapng_bytes(frames, link_types=LINK_TYPES))
    return len(frames)


def dissected(path):
    """Return for each TCP and UDP packet its name, sums and oddities, as tshark has them."""
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=;"]
    command += [word for preference in PREFERENCES for word in ("-o", preference)]
    command += [word for name in FIELDS for word in ("-e", name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    for number, line in enumerate(done.stdout.rstrip("\n").split("\n")):
        seen = dict(zip(FIELDS, [value.split(";") for value in line.split("\t")], strict=True))
        packet = packet_of(seen, number)
        if packet is not None:
            yield packet


def packet_of(seen, number):
    """Return (record of one packet, fragmented, beyond the frame, TCP flags), None for other frames."""
    layers = seen["frame.protocols"][0].split(":")
    outer = next((name for name in layers if name in ("ip", "ipv6")), None)
    if outer is None or not seen[f"{outer}.dst"][0]:
        return None
    before, after = layers[: layers.index(outer)], layers[layers.index(outer) + 1 :]
    transport = next((name for name in after if not name.startswith(("ipv6.", "ah"))), "")
    if transport not in NUMBERS or not seen[f"{transport}.dstport"][0]:
        return None
    length = int(seen["ip.len"][0]) if outer == "ip" else 40 + int(seen["ipv6.plen"][0])
    tagged = [
        seen["ieee8021ad.id" if name == "ieee8021ad" else "vlan.id"][0]
        for name in before
        if "vlan" in name or name == "ieee8021ad"
    ]
    ends = [(seen[f"{outer}.{end}"][0], int(seen[f"{transport}.{end}port"][0])) for end in ("src", "dst")]
    vlan = int(tagged[0]) if tagged else 0
    one = total(tuple(ends), NUMBERS[transport], vlan, (number, number), (1, length, 0, 0))
    fragmented = bool(seen["ip.flags.mf"][0] == "1" or seen["ipv6.fraghdr.ident"][0])
    beyond = length > int(seen["frame.len"][0])
    flags = int(seen["tcp.flags"][0] or "0", 16) if transport == "tcp" else 0
    return one, fragmented, beyond, flags


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "MANIFEST.tsv").exists(), reason="the folder of real captures is not here")
@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_conversations_have_the_packets_and_octets_that_tshark_counts(tmp_path):
    path = tmp_path / "all.pcapng"
    assert merged(path) >= 20_000
    packets, oddities, began = [], defaultdict(lambda: [False, False]), {}
    for one, fragmented, beyond, flags in dissected(path):
        packets.append(one)
        odd = oddities[one.name]
        odd[0] |= fragmented
        odd[1] |= beyond
        other = one.name.high if one.source == one.name.low else one.name.low
        began.setdefault(one.name, other if flags & 0x17 == SYN_ACK else one.source)
    theirs = summed(packets)
    records = [flow for flow in totals(path, TIMEOUTS) if flow.name.protocol in NUMBERS.values()]
    ours = summed(records)
    explained, unexplained = Counter(), []
    for name in ours.keys() | theirs.keys():
        mine, other = ours.get(name), theirs.get(name)
        if mine and other and (mine.packets, mine.octets) == (other.packets, other.octets):
            continue
        same_packets = bool(mine and other and mine.packets == other.packets)
        one = {"fragmented": oddities[name][0], "beyond": oddities[name][1], "packets": same_packets}
        reason = next((text for text, holds in DIFFERENCES.items() if holds(one)), None)
        explained[reason] += 1
        if reason is None:
            unexplained.append((mine, other))
    assert not unexplained
    assert len(ours) >= 2000
    assert explained.total() * THOUSANDTH <= len(ours)
    wrong = [flow.name for name, flow in ours.items() if name in began and flow.source != began[name]]
    assert not wrong, "who began is not who sent the first packet"
