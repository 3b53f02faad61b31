"""Each encapsulation, its id, and what is around and inside it; garbage inside leaves the packet outside."""

import struct

import craft
import craft_tunnel as tunnels
import numpy as np
import pytest

from sensor.packet.columns import DecodeError, PacketKind, TunnelType
from sensor.packet.decode import Decoder
from sensor.packet.inner import outer_addresses
from sensor.packet.layer import MAX_INNER_TAGS, MAX_LABELS, MAX_LAYERS

V4 = craft.ipv4(craft.tcp(b"inside", 1234, 80), "192.168.0.1", "192.168.0.2")
V6 = craft.ipv6(craft.tcp(b"inside", 1234, 80), "fd00::1", "fd00::2")
INNER_MAC = "02:00:00:00:0a:0a"


def inside_ethernet(packet, vlans=()):
    return craft.ethernet(packet, src=INNER_MAC, vlans=vlans)


def over_ip(protocol):
    return lambda payload: craft.ethernet(craft.ipv4(payload, proto=protocol))


def over_ip6(protocol):
    return lambda payload: craft.ethernet(craft.ipv6(payload, proto=protocol))


def over_udp(port):
    return lambda payload: craft.ethernet(craft.ipv4(craft.udp(payload, 50000, port), proto=17))


def over_ethernet(ethertype):
    return lambda payload: craft.ethernet(payload, ethertype=ethertype)


def one(frame, mode="inner", link_type=1):
    decoder = Decoder(1, tunnels=mode)
    return decoder.decode(craft.batch([frame], link_type=link_type))[0], decoder.counters()


GRE, ERSPAN, VXLAN, L2TP, MPLS = (
    TunnelType.GRE,
    TunnelType.ERSPAN,
    TunnelType.VXLAN,
    TunnelType.L2TP,
    TunnelType.MPLS,
)
ETH4, ETH6 = inside_ethernet(V4), inside_ethernet(V6)
PPP4 = tunnels.ppp(V4)

#: (frame, tunnel, id, bytes from the outer IP header to the inner one, or None without an outer IP header)
CASES = {
    "gre": (over_ip(47)(tunnels.gre(V4)), GRE, 0, 24),
    "gre key sequence checksum": (over_ip(47)(tunnels.gre(V6, key=7, sequence=1, checksum=9)), GRE, 7, 36),
    "gre over ipv6": (over_ip6(47)(tunnels.gre(V4, key=2**32 - 1)), GRE, 2**32 - 1, 48),
    "nvgre": (over_ip(47)(tunnels.gre(ETH4, 0x6558, key=0x123400)), GRE, 0x123400, 42),
    "pptp": (over_ip(47)(tunnels.pptp(PPP4, 11)), GRE, 11, 36),
    "pptp acknowledging": (over_ip(47)(tunnels.pptp(PPP4, 11, acknowledgment=3)), GRE, 11, 40),
    "wccp": (over_ip(47)(tunnels.gre(V4, 0x883E)), GRE, 0, 24),
    "wccp 2": (over_ip(47)(tunnels.gre(bytes(4) + V4, 0x883E)), GRE, 0, 28),
    "mpls in gre": (over_ip(47)(tunnels.gre(tunnels.mpls(V4, 5), 0x8847)), MPLS, 5, 28),
    "erspan I": (over_ip(47)(tunnels.erspan(ETH4, 1)), ERSPAN, 0, 38),
    "erspan II": (over_ip(47)(tunnels.erspan(ETH4, 2, 1023)), ERSPAN, 1023, 50),
    "erspan III": (over_ip(47)(tunnels.erspan(ETH6, 3, 77)), ERSPAN, 77, 54),
    "erspan III platform": (over_ip(47)(tunnels.erspan(ETH4, 3, 77, platform=True)), ERSPAN, 77, 62),
    "erspan III ip": (over_ip(47)(tunnels.erspan(V4, 3, 77, kind=2)), ERSPAN, 77, 40),
    "vxlan": (over_udp(4789)(tunnels.vxlan(ETH4, 0xFFFFFF)), VXLAN, 0xFFFFFF, 50),
    "vxlan linux": (over_udp(8472)(tunnels.vxlan(ETH6, 1)), VXLAN, 1, 50),
    "vxlan group policy": (over_udp(4789)(tunnels.vxlan(ETH4, 2, 0x8848_1234)), VXLAN, 2, 50),
    "vxlan tags": (over_udp(4789)(tunnels.vxlan(inside_ethernet(V4, [5, 6]))), VXLAN, 3, 58),
    "vxlan gpe": (over_udp(4790)(tunnels.vxlan(V4, 4, 0x0C00_0001)), VXLAN, 4, 36),
    "vxlan gpe ethernet": (over_udp(4790)(tunnels.vxlan(ETH4, 4, 0x0800_0000)), VXLAN, 4, 50),
    "geneve": (over_udp(6081)(tunnels.geneve(ETH4, options=bytes(12))), TunnelType.GENEVE, 3, 62),
    "geneve ip": (over_udp(6081)(tunnels.geneve(V4, 9, 0x0800)), TunnelType.GENEVE, 9, 36),
    "gtp": (over_udp(2152)(tunnels.gtp_u(V4, 2**31)), TunnelType.GTP_U, 2**31, 36),
    "gtp sequence": (over_udp(2152)(tunnels.gtp_u(V6, flags=2)), TunnelType.GTP_U, 3, 40),
    "gtp extensions": (
        over_udp(2152)(tunnels.gtp_u(V4, extensions=(b"ab", bytes(6)))),
        TunnelType.GTP_U,
        3,
        52,
    ),
    "l2tp": (over_udp(1701)(tunnels.l2tp(PPP4, 8)), L2TP, 8, 40),
    "l2tp short": (over_udp(1701)(tunnels.l2tp(tunnels.ppp(V6, address=False), 8, flags=2)), L2TP, 8, 36),
    "l2tp all": (
        over_udp(1701)(tunnels.l2tp(PPP4, 8, flags=0x4A02, extra=bytes(4) + b"\0\2ab")),
        L2TP,
        8,
        48,
    ),
    "l2tp 3": (over_ip(115)(tunnels.l2tp3(ETH4, 12)), L2TP, 12, 38),
    "l2tp 3 cookie": (over_ip(115)(tunnels.l2tp3(ETH4, 12, bytes(8))), L2TP, 12, 46),
    "l2tp 3 udp": (over_udp(1701)(tunnels.l2tp3(b"\x0f\0\x08\0" + V4, 12, bytes(4), udp=True)), L2TP, 12, 44),
    "ip in ip": (over_ip(4)(V4), TunnelType.IP_IN_IP, 0, 20),
    "4in6": (over_ip6(4)(V4), TunnelType.IP_IN_IP, 0, 40),
    "6in6": (over_ip6(41)(V6), TunnelType.IP_IN_IP, 0, 40),
    "6in4": (over_ip(41)(V6), TunnelType.SIX_IN_FOUR, 0, 20),
    "teredo": (over_udp(3544)(tunnels.teredo(V6)), TunnelType.TEREDO, 0, 28),
    "teredo origin": (over_udp(3544)(tunnels.teredo(V6, origin=True)), TunnelType.TEREDO, 0, 36),
    "teredo both": (
        over_udp(3544)(tunnels.teredo(V6, origin=True, authentication=b"abc")),
        TunnelType.TEREDO,
        0,
        52,
    ),
    "etherip": (over_ip(97)(b"\x30\0" + ETH4), TunnelType.ETHER_IP, 0, 36),
    "mpls in ip": (over_ip(137)(tunnels.mpls(V4, 16, 17)), MPLS, 17, 28),
    "mpls in udp": (over_udp(6635)(tunnels.mpls(V6, 16)), MPLS, 16, 32),
    "capwap": (over_udp(5247)(tunnels.capwap(ETH4, radio=2)), TunnelType.CAPWAP, 2, 50),
    "capwap 802.11": (
        over_udp(5247)(tunnels.capwap(tunnels.wlan(craft.snap(V4), 1), native=1)),
        TunnelType.CAPWAP,
        1,
        68,
    ),
    "nsh in gpe": (
        over_udp(4790)(tunnels.vxlan(tunnels.nsh(ETH4, 3, 258), 4, 0x0C00_0004)),
        TunnelType.NSH,
        258,
        74,
    ),
    "mpls": (over_ethernet(0x8847)(tunnels.mpls(V4, 100, 200)), MPLS, 200, None),
    "mpls multicast": (over_ethernet(0x8848)(tunnels.mpls(V6, 2**20 - 1)), MPLS, 2**20 - 1, None),
    "pseudowire": (over_ethernet(0x8847)(tunnels.mpls(ETH4, 100, word=True)), MPLS, 100, None),
    "pseudowire bare": (over_ethernet(0x8847)(tunnels.mpls(inside_ethernet(V6, [3]), 100)), MPLS, 100, None),
    "pppoe": (
        over_ethernet(0x8864)(tunnels.pppoe(tunnels.ppp(V4, address=False))),
        TunnelType.PPPOE,
        9,
        None,
    ),
    "pppoe compressed": (
        over_ethernet(0x8864)(tunnels.pppoe(tunnels.ppp(V4, address=False, compressed=True), 65535)),
        TunnelType.PPPOE,
        65535,
        None,
    ),
    "pbb": (over_ethernet(0x88E7)(tunnels.pbb(ETH4, 0xABCDEF)), TunnelType.PBB, 0xABCDEF, None),
    "nsh": (over_ethernet(0x894F)(tunnels.nsh(V4, 1, 5, b"")), TunnelType.NSH, 5, None),
}


@pytest.mark.parametrize("name", CASES)
def test_the_row_is_the_innermost_packet(name):
    frame, kind, number, distance = CASES[name]
    row, counters = one(frame)
    inner = V4 if V4 in frame else V6
    assert (row.error, row.kind) == (DecodeError.NONE, PacketKind.IP)
    assert (row.ip_version, row.protocol, row.src_port, row.dst_port) == (inner[0] >> 4, 6, 1234, 80)
    src, dst = ("192.168.0.1", "192.168.0.2") if inner is V4 else ("fd00::1", "fd00::2")
    assert (row.src_hi, row.src_lo, row.dst_hi, row.dst_lo) == (*craft.words(src), *craft.words(dst))
    assert frame[row.payload_offset :] == b"inside"
    assert (row.tunnel, row.tunnel_id) == (kind, number)
    assert row.ethertype == {4: 0x0800, 6: 0x86DD}[inner[0] >> 4]
    assert (row.ip_bytes, row.wirelen) == (len(inner), len(frame))
    assert counters[f"tunnels_{kind.name.lower()}"] == 1
    assert counters["ordinary_on_tunnel_port"] == 0
    assert not any(count for cause, count in counters.items() if cause.startswith("inner_"))
    data = np.frombuffer(frame, np.uint8)
    if distance is None:
        assert row.outer_offset == -1
        assert outer_addresses(data, -1) == (0, 0, 0, 0, 0)
    else:
        outer = frame[row.outer_offset :]
        assert (row.outer_offset, outer.index(inner)) == (14, distance)
        version = outer[0] >> 4
        ends = (craft.SRC, craft.DST) if version == 4 else (craft.SRC6, craft.DST6)
        expected = (*craft.words(ends[0]), *craft.words(ends[1]), version)
        assert outer_addresses(data, int(row.outer_offset)) == expected


@pytest.mark.parametrize("name", CASES)
def test_the_outermost_packet_can_be_had_instead(name):
    frame, kind, number, distance = CASES[name]
    inner, _ = one(frame)
    row, _ = one(frame, "outer")
    assert (row.tunnel, row.tunnel_id, row.outer_offset) == (kind, number, inner.outer_offset)
    assert row.tunnel_layers == inner.tunnel_layers
    if distance is None:
        assert row.tolist() == inner.tolist()
    else:
        assert row.src_lo in (craft.words(craft.SRC)[1], craft.words(craft.SRC6)[1])
        assert row.ip_bytes == len(frame) - 14
        assert row.protocol != 6
        assert row.src_mac == int.from_bytes(craft.mac(craft.SRC_MAC), "big")


def test_mac_addresses_are_the_innermost_and_vlan_ids_the_outermost():
    frame = craft.ethernet(
        craft.ipv4(craft.udp(tunnels.vxlan(inside_ethernet(V4, [30, 31])), 1, 4789), proto=17), vlans=[10, 11]
    )
    row, _ = one(frame)
    assert row.src_mac == int.from_bytes(craft.mac(INNER_MAC), "big")
    assert (row.vlan, row.vlan_inner, row.vlan_tags) == (10, 11, 2)
    row, _ = one(over_ethernet(0x8847)(tunnels.mpls(inside_ethernet(V4, [30]), 1)))
    assert (row.vlan, row.vlan_tags) == (0, 0)


def test_layers_in_any_order():
    packet = craft.ipv4(tunnels.gre(V4, key=1), "1.1.1.1", "1.1.1.2", 47)
    packet = craft.ipv4(
        craft.udp(tunnels.vxlan(inside_ethernet(packet, [9])), 1, 4789), "2.2.2.1", "2.2.2.2", 17
    )
    frame = craft.ethernet(
        tunnels.mpls(inside_ethernet(packet), 77, word=True), ethertype=0x8847, vlans=[(0x88A8, 3)]
    )
    row, counters = one(frame)
    assert (row.tunnel, row.tunnel_id, row.tunnel_layers, row.src_port) == (TunnelType.GRE, 1, 3, 1234)
    carrier = outer_addresses(np.frombuffer(frame, np.uint8), int(row.outer_offset))
    assert carrier == (*craft.words("1.1.1.1"), *craft.words("1.1.1.2"), 4)
    assert counters["tunnels_gre"] == 1
    assert counters["tunnels_vxlan"] == 0
    row, _ = one(frame, "outer")
    assert (row.src_lo, row.dst_port, row.tunnel, row.tunnel_layers) == (
        craft.words("2.2.2.1")[1],
        4789,
        GRE,
        3,
    )


def test_arp_inside_a_tunnel():
    frame = over_udp(4789)(tunnels.vxlan(craft.ethernet(craft.arp(), src=INNER_MAC, ethertype=0x0806)))
    row, _ = one(frame)
    assert (row.kind, row.ip_version, row.protocol, row.dst_port) == (PacketKind.ARP, 0, 0, 0)
    assert (row.src_lo, row.tunnel, row.ethertype) == (craft.words(craft.SRC)[1], VXLAN, 0x0806)
    assert (row.payload_offset, row.ip_bytes, row.outer_offset) == (-1, 0, 14)


WRONG_ARP = craft.ethernet(craft.arp()[:7] + b"\7" + craft.arp()[8:20], ethertype=0x0806)
BAD_INSIDES = {
    "other": (over_ip(47)(tunnels.gre(b"\0" * 40, 0x88CC)), "inner_other"),
    "keepalive": (over_ip(47)(tunnels.gre(b"", 0)), "inner_other"),
    "ppp control": (over_udp(1701)(tunnels.l2tp(tunnels.ppp(bytes(20), 0xC021))), "inner_other"),
    "pptp acknowledgment alone": (over_ip(47)(tunnels.pptp(b"", 1, None, 5)), "inner_other"),
    "routed gre": (over_ip(47)(tunnels.gre(V4, flags=0x4000)), "inner_bad_tunnel"),
    "gre of another version": (over_ip(47)(tunnels.gre(V4, flags=2)), "inner_bad_tunnel"),
    "gre cut short": (over_ip(47)(b"\0\0"), "inner_bad_tunnel"),
    "erspan of another version": (
        over_ip(47)(tunnels.gre(b"\x50" + bytes(20), 0x88BE, sequence=1)),
        "inner_bad_tunnel",
    ),
    "version": (over_ip(4)(b"\x55" + V4[1:]), "inner_bad_ip_version"),
    "header length": (over_ip(4)(b"\x44" + V4[1:]), "inner_bad_ip_header_length"),
    "total length": (over_ip(4)(V4[:2] + b"\0\x05" + V4[4:]), "inner_bad_ip_total_length"),
    "short packet": (over_ip(4)(V4[:19]), "inner_truncated_network"),
    "options missing": (over_ip(4)(craft.ipv4(V4, options=bytes(40))[:30]), "inner_truncated_network"),
    "etherip": (over_ip(97)(b"\x40\0" + ETH4), "inner_bad_tunnel"),
    "geneve garbage": (over_udp(6081)(tunnels.geneve(bytes(range(60)))), "inner_other"),
    "arp": (over_udp(4789)(tunnels.vxlan(WRONG_ARP)), "inner_bad_arp"),
    "labels without end": (over_ip(137)(tunnels.mpls(b"", *range(5))[:16]), "inner_bad_tunnel"),
    "sealed 802.11": (
        over_udp(5247)(tunnels.capwap(tunnels.wlan(bytes(40), flags=0x40), native=1)),
        "inner_protected_link",
    ),
}


@pytest.mark.parametrize("name", BAD_INSIDES)
@pytest.mark.parametrize("mode", ["inner", "outer"])
def test_garbage_inside_leaves_the_packet_outside_and_is_counted(name, mode):
    frame, cause = BAD_INSIDES[name]
    row, counters = one(frame, mode)
    assert (row.error, row.kind, row.tunnel, row.tunnel_layers) == (0, PacketKind.IP, TunnelType.NONE, 0)
    assert (row.src_lo, row.outer_offset) == (craft.words(craft.SRC)[1], -1)
    assert row.src_mac == int.from_bytes(craft.mac(craft.SRC_MAC), "big")
    assert row.protocol == frame[23]
    assert row.payload_offset == (42 if row.protocol == 17 else 34) or row.payload_bytes == 0
    assert {name: n for name, n in counters.items() if name.startswith("inner_") and n} == {cause: 1}


ORDINARY = {
    "dns from 4789": craft.udp(b"\x12\x34\x81\x80" + bytes(40), 53, 4789),
    "vxlan without its flag": craft.udp(tunnels.vxlan(ETH4, first=0), 1, 4789),
    "vxlan with reserved bits": craft.udp(tunnels.vxlan(ETH4, first=0x0800_0001), 1, 4789),
    "too short": craft.udp(b"\x08\0\0\0", 1, 4789),
    "empty": craft.udp(b"", 1, 2152),
    "geneve of version 1": craft.udp(b"\x40" + tunnels.geneve(ETH4)[1:], 1, 6081),
    "geneve without a protocol": craft.udp(tunnels.geneve(ETH4, protocol=5), 1, 6081),
    "geneve with missing options": craft.udp(b"\x3f" + tunnels.geneve(ETH4)[1:], 1, 6081),
    "gtp echo": craft.udp(tunnels.gtp_u(b"", kind=1), 2152, 2152),
    "gtp too long": craft.udp(tunnels.gtp_u(V4)[:-1], 1, 2152),
    "gtp prime": craft.udp(b"\x20" + tunnels.gtp_u(V4)[1:], 1, 2152),
    "l2tp control": craft.udp(tunnels.l2tp(PPP4, flags=0xC802), 1701, 1701),
    "l2tp of version 1": craft.udp(tunnels.l2tp(PPP4, flags=0x4001), 1, 1701),
    "teredo with ipv4": craft.udp(tunnels.teredo(V4), 1, 3544),
    "teredo bubble too long": craft.udp(tunnels.teredo(V6)[:-1], 1, 3544),
    "capwap dtls": craft.udp(b"\x01" + tunnels.capwap(ETH4)[1:], 1, 5247),
    "gpe of version 1": craft.udp(tunnels.vxlan(V4, first=0x1C00_0001), 1, 4790),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_datagram_on_a_tunnels_port_stays_one(name):
    row, counters = one(craft.ethernet(craft.ipv4(ORDINARY[name], proto=17)))
    assert (row.error, row.kind, row.protocol, row.tunnel) == (0, PacketKind.IP, 17, TunnelType.NONE)
    assert (row.src_port, row.dst_port) == struct.unpack("!HH", ORDINARY[name][:4])
    assert counters["ordinary_on_tunnel_port"] == 1
    assert not any(n for name, n in counters.items() if name.startswith(("inner_", "tunnels_")))


def test_a_header_that_was_not_captured_leaves_the_packet_outside_with_a_code():
    frame = over_udp(4789)(tunnels.vxlan(ETH4))
    for size in range(42, 84):  # from the end of the outer UDP header to the inner IP header's
        decoder = Decoder(1)
        row = decoder.decode(craft.batch([frame[:size]], wirelens=[len(frame)]))[0]
        assert (row.error, row.kind, row.dst_port) == (DecodeError.TRUNCATED_TUNNEL, PacketKind.IP, 4789)
        assert decoder.counters()["inner_truncated_tunnel"] == 1
    row = Decoder(1).decode(craft.batch([frame[:84]], wirelens=[len(frame)]))[0]
    assert (row.error, row.tunnel) == (DecodeError.TRUNCATED_TRANSPORT, VXLAN)


@pytest.mark.parametrize(
    ("ethertype", "payload", "error", "kind"),
    [
        (0x8847, tunnels.mpls(b"\x10" + bytes(30), 5), DecodeError.NONE, PacketKind.OTHER),
        (0x8847, b"\0\0\0", DecodeError.BAD_TUNNEL, PacketKind.UNDECODED),
        (
            0x8864,
            tunnels.pppoe(tunnels.ppp(bytes(9), 0xC021, address=False)),
            DecodeError.NONE,
            PacketKind.OTHER,
        ),
        (0x8864, tunnels.pppoe(V4, code=0xA7), DecodeError.NONE, PacketKind.OTHER),
        (0x8864, b"\x21" + tunnels.pppoe(V4)[1:], DecodeError.BAD_TUNNEL, PacketKind.UNDECODED),
        (0x88E7, b"\0", DecodeError.BAD_TUNNEL, PacketKind.UNDECODED),
        (0x894F, bytes(20), DecodeError.BAD_TUNNEL, PacketKind.UNDECODED),
    ],
)
def test_labels_without_an_ip_packet(ethertype, payload, error, kind):
    row, _ = one(over_ethernet(ethertype)(payload))
    assert (row.error, row.kind, row.tunnel, row.ethertype) == (error, kind, TunnelType.NONE, ethertype)


def nested(depth, wrap=lambda packet, i: craft.ipv4(packet, f"10.{i // 256}.{i % 256}.1", proto=4)):
    packet = V4
    for i in range(depth):
        packet = wrap(packet, i)
    return craft.ethernet(packet)


def test_layers_are_capped():
    row, _ = one(nested(MAX_LAYERS))
    assert (row.error, row.tunnel_layers, row.src_port) == (DecodeError.NONE, MAX_LAYERS, 1234)
    for depth in (MAX_LAYERS + 1, 400):
        row, counters = one(nested(depth))
        assert (row.error, row.tunnel_layers, row.protocol) == (DecodeError.TOO_MANY_LAYERS, MAX_LAYERS, 4)
        assert row.src_lo == craft.words(f"10.{(depth - 9) // 256}.{(depth - 9) % 256}.1")[1]
        assert (counters["inner_too_many_layers"], counters["error_too_many_layers"]) == (1, 1)
        row, _ = one(nested(depth), "outer")
        assert (row.error, row.src_lo) == (
            DecodeError.NONE,
            craft.words(f"10.{(depth - 1) // 256}.{(depth - 1) % 256}.1")[1],
        )


@pytest.mark.parametrize(
    ("frame", "fits"),
    [
        (lambda n: over_ethernet(0x8847)(tunnels.mpls(V4, *range(n))), MAX_LABELS),
        (lambda n: over_udp(4789)(tunnels.vxlan(inside_ethernet(V4, [1] * n))), MAX_INNER_TAGS),
    ],
)
def test_labels_and_inner_tags_are_capped(frame, fits):
    row, _ = one(frame(fits))
    assert (row.error, row.src_port) == (DecodeError.NONE, 1234)
    for count in (fits + 1, 2000):
        row, counters = one(frame(count))
        assert (row.error, counters["inner_too_many_layers"]) == (DecodeError.TOO_MANY_LAYERS, 1)
        assert row.src_port != 1234


def test_frames_in_frames_without_a_tunnel_are_capped():
    """RFC 2427 bridges Ethernet in SNAP, and SNAP stands in Ethernet."""
    frame = inside_ethernet(V4)
    for _ in range(300):
        frame = craft.ieee8023(b"\xaa\xaa\x03\x00\x80\xc2\x00\x07" + frame, length=100)
    row, _ = one(frame)
    assert row.kind != PacketKind.IP
    row, _ = one(over_udp(4789)(tunnels.vxlan(frame)))
    assert (row.error, row.dst_port) == (DecodeError.TOO_MANY_LAYERS, 4789)


@pytest.mark.parametrize("offset", [30, 19, 2**40])
def test_outer_addresses_of_what_is_no_header(offset):
    with pytest.raises(ValueError, match="no IP header"):
        outer_addresses(np.frombuffer(b"\x45" * 20, np.uint8), offset)


def test_the_mode_is_one_of_two():
    with pytest.raises(ValueError, match="tunnels"):
        Decoder(1, tunnels="both")
