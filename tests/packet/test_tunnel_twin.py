"""The walk through tunnels against its plain twin: drawn nests of headers, damaged and cut ones too."""

import random
import struct

import craft
import craft_tunnel as tunnels
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import decode as naive

from sensor.packet.columns import FragmentFlag, TunnelType
from sensor.packet.decode import Decoder


def over_udp(port, build):
    return lambda packet, chance: craft.ipv4(craft.udp(build(packet, chance), 5000, port), proto=17)


def over_ip(protocol, build):
    return lambda packet, _: craft.ipv4(build(packet), proto=protocol)


def next_header(packet):
    return 4 if packet[0] >> 4 == 4 else 41


def tagged(packet, chance):
    return craft.ethernet(packet, vlans=chance.choice([(), (3,), (3, 4), (1,) * 9]))


def air(packet, chance, flags=0):
    return tunnels.wlan(craft.snap(packet), chance.randrange(4), quality=chance.random() < 0.5, flags=flags)


def six(packet):
    return packet if packet[0] >> 4 == 6 else craft.ipv6(packet, proto=4)


def gpe(packet):
    return tunnels.vxlan(packet, first=0x0C00_0000 | (1 if packet[0] >> 4 == 4 else 2))


def metadata(packet):
    return struct.pack("!H", tunnels.kind_of(packet)) + bytes([1, 1, 0, 1, 0, 0]) + packet


#: From a packet to the packet that carries it.
TUNNELS = [
    lambda packet, _: craft.ipv4(packet, proto=next_header(packet)),
    lambda packet, _: craft.ipv6(packet, proto=next_header(packet)),
    lambda packet, _: craft.ipv4(packet, proto=next_header(packet), more_fragments=True),
    lambda packet, _: craft.ipv6(tunnels.gre(packet), proto=47, extensions=[(60, craft.option_header())]),
    over_ip(47, tunnels.gre),
    over_ip(47, lambda packet: tunnels.gre(packet, key=77, sequence=1, checksum=5)),
    over_ip(47, lambda packet: tunnels.gre(craft.ethernet(packet), 0x6558, key=9)),
    over_ip(47, lambda packet: tunnels.pptp(tunnels.ppp(packet))),
    over_ip(47, lambda packet: tunnels.erspan(craft.ethernet(packet), 1)),
    over_ip(47, lambda packet: tunnels.erspan(craft.ethernet(packet), 2)),
    over_ip(47, lambda packet: tunnels.erspan(craft.ethernet(packet), 3, platform=True)),
    over_ip(47, lambda packet: tunnels.erspan(packet, 3, kind=2)),
    over_ip(47, lambda packet: tunnels.gre(bytes(4) + packet, 0x883E)),
    over_ip(47, lambda packet: tunnels.gre(tunnels.mpls(packet, 5), 0x8847)),
    over_ip(47, lambda packet: tunnels.gre(metadata(packet), 0x8909)),
    over_ip(97, lambda packet: b"\x30\0" + craft.ethernet(packet)),
    over_ip(115, lambda packet: tunnels.l2tp3(craft.ethernet(packet), cookie=bytes(8))),
    over_ip(137, lambda packet: tunnels.mpls(packet, 3, 4)),
    over_ip(137, lambda packet: tunnels.mpls(craft.ethernet(packet), 3, word=True)),
    over_udp(4789, lambda packet, chance: tunnels.vxlan(tagged(packet, chance))),
    over_udp(8472, lambda packet, _: tunnels.vxlan(craft.ethernet(packet), first=0x8800_0001)),
    over_udp(4790, lambda packet, _: gpe(packet)),
    over_udp(6081, lambda packet, _: tunnels.geneve(craft.ethernet(packet), options=bytes(8))),
    over_udp(6081, lambda packet, _: tunnels.geneve(packet, protocol=tunnels.kind_of(packet))),
    over_udp(2152, lambda packet, chance: tunnels.gtp_u(packet, flags=chance.randrange(4))),
    over_udp(2152, lambda packet, _: tunnels.gtp_u(packet, extensions=(b"ab", bytes(6)))),
    over_udp(
        1701, lambda packet, chance: tunnels.l2tp(tunnels.ppp(packet), flags=chance.choice([2, 0x4002]))
    ),
    over_udp(1701, lambda packet, _: tunnels.l2tp3(craft.ethernet(packet), udp=True, cookie=bytes(4))),
    over_udp(3544, lambda packet, chance: tunnels.teredo(six(packet), origin=chance.random() < 0.5)),
    over_udp(3544, lambda packet, _: tunnels.teredo(six(packet), authentication=b"ab")),
    over_udp(6635, lambda packet, _: tunnels.mpls(packet, 9)),
    over_udp(5247, lambda packet, _: tunnels.capwap(craft.ethernet(packet))),
    over_udp(5247, lambda packet, chance: tunnels.capwap(air(packet, chance), native=1)),
]


def chained(packet):
    return 1 if packet[0] >> 4 == 4 else 2


def attributes(packet):
    head = bytes([2 if packet[0] >> 4 == 4 else 10, 0, 0, 0]) + struct.pack("<HH", 6, 1) + b"abcd"
    return head + struct.pack("<HH", len(packet) + 4, 9) + packet


def radiotap(packet, chance):
    return struct.pack("<BBHIB", 0, 0, 9, 2, chance.choice([0, 0x20])) + air(packet, chance)


def over_ethernet(ethertype, build, vlans=()):
    return lambda packet, _: craft.ethernet(build(packet), ethertype=ethertype, vlans=vlans)


#: From a packet to a frame, by link type.
LINKS = [
    (1, tagged),
    (1, over_ethernet(0x8847, lambda packet: tunnels.mpls(packet, 5, 6))),
    (1, over_ethernet(0x8847, lambda packet: tunnels.mpls(craft.ethernet(packet), 5, word=True), [7])),
    (1, over_ethernet(0x8848, lambda packet: tunnels.mpls(craft.ethernet(packet), 5))),
    (1, over_ethernet(0x8864, lambda packet: tunnels.pppoe(tunnels.ppp(packet, address=False)), [7, 8])),
    (1, over_ethernet(0x88E7, lambda packet: tunnels.pbb(craft.ethernet(packet)), [(0x88A8, 3)])),
    (1, over_ethernet(0x894F, lambda packet: tunnels.nsh(craft.ethernet(packet), 3))),
    (1, over_ethernet(0x894F, lambda packet: tunnels.nsh(packet, chained(packet)))),
    (1, over_ethernet(0x8926, lambda packet: bytes(4) + struct.pack("!H", tunnels.kind_of(packet)) + packet)),
    (101, lambda packet, _: packet),
    (9, lambda packet, _: tunnels.ppp(packet)),
    (50, lambda packet, _: tunnels.ppp(packet, compressed=True)),
    (51, lambda packet, _: tunnels.pppoe(tunnels.ppp(packet))),
    (104, lambda packet, _: b"\x0f\0" + struct.pack("!H", tunnels.kind_of(packet)) + packet),
    (107, lambda packet, _: b"\x18\x41\x03" + (b"\xcc" if packet[0] >> 4 == 4 else b"\x8e") + packet),
    (107, lambda packet, _: b"\x18\x41" + struct.pack("!H", tunnels.kind_of(packet)) + packet),
    (107, lambda packet, _: b"\x18\x41\x03\x00\x80" + craft.snap(packet)[3:]),
    (107, lambda packet, _: b"\x18\x41\x03\x00\x80\0\x80\xc2\0\7" + craft.ethernet(packet)),
    (105, lambda packet, chance: air(packet, chance, chance.choice([0, 0, 0, 0x40]))),
    (127, radiotap),
    (192, lambda packet, chance: struct.pack("<BBHI", 0, 0, 8, 105) + air(packet, chance)),
    (119, lambda packet, chance: struct.pack("<II", 0x44, 144) + bytes(136) + air(packet, chance)),
    (163, lambda packet, chance: struct.pack(">II", 0x80211001, 64) + bytes(56) + air(packet, chance)),
    (239, lambda packet, _: attributes(packet)),
]

PACKETS = [
    craft.ipv4(craft.tcp(b"inside"), "192.168.0.1"),
    craft.ipv6(craft.tcp(b"inside"), "fd00::1"),
    craft.ipv4(craft.udp(b"inside"), "192.168.0.1", proto=17),
    craft.ipv6(craft.icmpv6(), "fd00::1", proto=58),
]


def draw(seed):
    """Return (frame, link type, wire length): a nest of headers, whole or not."""
    chance = random.Random(seed)
    packet = chance.choice(PACKETS)
    for _ in range(chance.choice([0, 1, 1, 1, 2, 2, 3, 4, 9])):
        packet = chance.choice(TUNNELS)(packet, chance)
    link_type, build = chance.choice(LINKS)
    frame = bytearray(build(packet, chance))
    wire = len(frame) + chance.choice([0, 0, 0, 10])
    for _ in range(chance.choice([0, 0, 0, 1, 2, 6])):
        frame[chance.randrange(len(frame))] = chance.choice([0, 255, 0x45, chance.randrange(256)])
    if chance.random() < 0.4:
        frame = frame[: chance.randrange(len(frame) + 1)]
    return bytes(frame), link_type, wire


def kernel_row(frame, link_type, wire, mode):
    row = Decoder(1, tunnels=mode).decode(craft.batch([frame], link_type=link_type, wirelens=[wire]))[0]
    assert row.fragment_flags & FragmentFlag.PORTS_KNOWN == 0
    return {name: int(row[name]) for name in row.dtype.names if name not in ("time", "fragment_flags")}


@pytest.mark.parametrize("mode", ["inner", "outer"])
@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_rows_equal_those_of_the_plain_twin(mode, seed):
    frame, link_type, wire = draw(seed)
    assert kernel_row(frame, link_type, wire, mode) == naive.decode(frame, link_type, wire, tunnels=mode)


def test_what_is_drawn_holds_every_tunnel():
    found = {naive.decode(*draw(seed))["tunnel"] for seed in range(600)}
    assert found == set(TunnelType)


#: Fields whose value in a cut frame is that of the whole one, or absent.
ABSENT = {"payload_offset": -1, "outer_offset": -1}
MEASURED = {"caplen", "error", "kind", "payload_captured", "vlan_tags", "fragment_id", "more_fragments"}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_a_cut_frame_has_the_outermost_packets_fields_or_none(seed):
    """What is inside may not have been captured; the outermost packet's row does not depend on it."""
    frame, link_type, wire = draw(seed)
    whole = kernel_row(frame, link_type, wire, "outer")
    for size in range(0, len(frame), 3):
        row = kernel_row(frame[:size], link_type, wire, "outer")
        if row["kind"] != whole["kind"]:
            continue
        for name in row.keys() - MEASURED - {"tunnel", "tunnel_id", "tunnel_layers", "outer_offset"}:
            assert row[name] in (whole[name], ABSENT.get(name, 0)), (size, name)
