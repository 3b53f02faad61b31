"""Link types that are not Ethernet, cooked, loopback or raw: lines, radio, capture programs' headers."""

import struct

import craft
import craft_tunnel as tunnels
import pytest

from sensor.packet.columns import DecodeError, PacketKind, TunnelType
from sensor.packet.decode import Decoder

V4 = craft.ipv4(craft.tcp(b"hello", src_port=1234))
V6 = craft.ipv6(craft.tcp(b"hello", src_port=1234))
ETHERNET = craft.ethernet(V4)
AIR = tunnels.wlan(craft.snap(V4), 1)


def one(frame, link_type):
    return Decoder(1).decode(craft.batch([frame], link_type=link_type))[0]


def radiotap(fields, *bitmaps):
    words = struct.pack(f"<{len(bitmaps)}I", *bitmaps)
    return struct.pack("<BBH", 0, 0, 4 + len(words) + len(fields)) + words + fields


def padded(packet):
    """Return an 802.11 frame whose header of 26 bytes is filled to 28."""
    frame = tunnels.wlan(craft.snap(packet), 1, quality=True)
    return frame[:26] + bytes(2) + frame[26:]


def of_two(packet):
    """Return an A-MSDU with two frames."""
    body = b""
    for i in (7, 8):
        msdu = craft.snap(packet)
        body += bytes([i] * 6) + bytes([i + 1] * 6) + struct.pack("!H", len(msdu)) + msdu
    frame = bytearray(tunnels.wlan(body, 1, quality=True))
    frame[24] |= 0x80
    return bytes(frame)


FRAMES = {
    "ppp": (9, tunnels.ppp(V4)),
    "ppp without address": (9, tunnels.ppp(V6, address=False)),
    "ppp compressed": (50, tunnels.ppp(V4, compressed=True)),
    "hdlc as ppp": (50, b"\x0f\0\x08\0" + V4),
    "ppp direction": (204, b"\1" + tunnels.ppp(V4)),
    "pppd": (166, b"\1\3" + tunnels.ppp(V4, address=False)),
    "hdlc": (104, b"\x0f\0\x08\0" + V4),
    "hdlc ppp": (104, tunnels.ppp(V6)),
    "frame relay": (107, b"\x18\x41\x03\xcc" + V4),
    "frame relay v6": (107, b"\x18\x41\x03\x8e" + V6),
    "frame relay cisco": (107, b"\x18\x41\x08\x00" + V4),
    "frame relay long": (107, b"\x18\x40\x02\x05\x03\xcc" + V4),
    "frame relay snap": (107, b"\x18\x41\x03\x00\x80" + craft.snap(V4)[3:]),
    "frame relay bridged": (107, b"\x18\x41\x03\x00\x80\0\x80\xc2\0\7" + ETHERNET),
    "frame relay ppp": (107, b"\x18\x41\x03\xcf" + tunnels.ppp(V4, address=False)),
    "slip": (8, bytes(16) + V4),
    "atm": (100, craft.snap(V4)),
    "atm clip": (106, craft.snap(V6)),
    "sunatm": (123, b"\x02\0\0\5" + craft.snap(V4)),
    "sunatm lane": (123, b"\x01\0\0\5\0\0" + ETHERNET),
    "firewire": (138, bytes(16) + b"\x08\0" + V4),
    "arcnet": (129, bytes(4) + b"\xd4\0\0\0" + V4),
    "arcnet old": (7, bytes(2) + b"\xf0" + V4),
    "enc": (109, struct.pack("<III", 2, 0, 0) + V4),
    "pflog": (117, bytes([61, 2]) + bytes(62) + V4),
    "ipnet": (226, bytes([1, 26]) + bytes(22) + V6),
    "pktap": (258, struct.pack("<III", 108, 1, 1) + bytes(96) + ETHERNET),
    "pktap raw": (258, struct.pack("<III", 108, 1, 12) + bytes(96) + V4),
    "pktap loopback": (258, struct.pack("<III", 108, 1, 0) + bytes(96) + struct.pack("<I", 30) + V6),
    "nflog": (239, b"\2\0\0\0" + struct.pack("<HH5sxxx", 9, 1, b"abcde") + struct.pack("<HH", 9, 9) + V4),
    "broadcom": (281, ETHERNET[:12] + b"abcd" + ETHERNET[12:]),
    "broadcom before": (282, b"abcd" + ETHERNET),
    "dsa": (284, ETHERNET[:12] + b"abcd" + ETHERNET[12:]),
    "ether dsa": (285, ETHERNET[:12] + b"abcdabcd" + ETHERNET[12:]),
    "wlan": (105, AIR),
    "wlan qos": (105, tunnels.wlan(craft.snap(V6), 2, quality=True)),
    "wlan ht control": (105, tunnels.wlan(bytes(4) + craft.snap(V4), 2, quality=True, flags=0x80)),
    "wlan wds": (105, tunnels.wlan(craft.snap(V4), 3)),
    "a-msdu": (105, of_two(V4)),
    "radiotap": (127, radiotap(b"", 0) + AIR),
    "radiotap padded": (127, radiotap(b"\x20", 2) + padded(V4)),
    "radiotap stamp": (127, radiotap(bytes(8) + b"\x20", 3) + padded(V4)),
    "radiotap bitmaps": (127, radiotap(bytes(4) + bytes(8) + b"\x20", 0x8000_0003, 1) + padded(V4)),
    "ppi": (192, struct.pack("<BBHI", 0, 0, 8, 105) + AIR),
    "ppi ethernet": (192, struct.pack("<BBHI", 0, 0, 8, 1) + ETHERNET),
    "prism": (119, struct.pack("<II", 0x44, 144) + bytes(136) + AIR),
    "avs as prism": (119, struct.pack(">II", 0x8021_1001, 64) + bytes(56) + AIR),
    "avs": (163, struct.pack(">II", 0x8021_1002, 20) + bytes(12) + AIR),
    "vn-tag": (1, ETHERNET[:12] + b"\x89\x26abcd" + ETHERNET[12:]),
    "e-tag": (1, ETHERNET[:12] + b"\x89\x3fabcdef" + ETHERNET[12:]),
    "metadata": (1, ETHERNET[:12] + b"\x89\x09\1\1\0\1\0\2" + ETHERNET[12:]),
}


@pytest.mark.parametrize("name", FRAMES)
def test_each_leads_to_its_packet(name):
    link_type, frame = FRAMES[name]
    row = one(frame, link_type)
    assert (row.error, row.kind, row.src_port) == (DecodeError.NONE, PacketKind.IP, 1234)
    assert frame[row.payload_offset :].startswith(b"hello")
    assert (row.tunnel, row.vlan_tags) == (TunnelType.NONE, 0)
    for size in range(frame.index(V4 if V4 in frame else V6) - 1):
        row = one(frame[:size], link_type)
        assert row.error in (DecodeError.TRUNCATED_LINK, DecodeError.EMPTY_FRAME) or row.kind != PacketKind.IP


@pytest.mark.parametrize("quality", [False, True])
@pytest.mark.parametrize(("ds", "dst", "src"), [(0, 1, 2), (1, 3, 2), (2, 1, 3), (3, 3, 4)])
def test_the_addresses_of_80211_depend_on_the_direction(ds, dst, src, quality):
    row = one(tunnels.wlan(craft.snap(V4), ds, quality=quality), 105)
    expected = tuple(int.from_bytes(bytes([one_] * 6), "big") for one_ in (dst, src))
    assert (row.dst_mac, row.src_mac) == expected


def test_frames_sent_as_one_have_their_own_addresses():
    assert one(of_two(V4), 105).src_mac == int.from_bytes(b"\x08" * 6, "big")


def test_encrypted_frames_are_counted_as_such():
    decoder = Decoder(1)
    frame = tunnels.wlan(bytes(60), 1, flags=0x40)
    row = decoder.decode(craft.batch([frame], link_type=105))[0]
    assert (row.error, row.kind) == (DecodeError.PROTECTED_LINK, PacketKind.UNDECODED)
    assert row.src_mac == int.from_bytes(b"\2" * 6, "big")
    assert decoder.counters()["error_protected_link"] == 1


@pytest.mark.parametrize(
    ("link_type", "frame"),
    [
        (105, b"\x80\0" + bytes(40)),  # a beacon
        (105, b"\xd4\0" + bytes(40)),  # an acknowledgment
        (105, tunnels.wlan(b"", 1, subtype=4)),
        (105, b"\x09\0" + bytes(40)),
        (192, struct.pack("<BBHI", 0, 0, 8, 195) + AIR),
        (9, tunnels.ppp(bytes(9), 0xC021)),
        (104, b"\x8f\0\x80\x35" + bytes(18)),
        (107, b"\x18\x41\x03\x08" + bytes(20)),
        (107, b"\xfc\xf1\0\x75" + bytes(20)),
        (123, b"\x06\0\0\5" + bytes(30)),
        (129, bytes(4) + b"\x01" + bytes(30)),
        (239, b"\2\0\0\0" + struct.pack("<HH", 4, 1) * 40),
        (239, b"\2\0\0\0" + struct.pack("<HH", 0, 9)),
        (258, struct.pack("<III", 12, 1, 147) + bytes(9)),
    ],
)
def test_frames_of_something_else(link_type, frame):
    row = one(frame, link_type)
    assert (row.error, row.kind) == (DecodeError.NONE, PacketKind.OTHER)


@pytest.mark.parametrize("link_type", [147, 195, 189, 201, 65535])
def test_unknown_link_types_are_counted(link_type):
    decoder = Decoder(1)
    row = decoder.decode(craft.batch([bytes(60)], link_type=link_type))[0]
    assert row.error == DecodeError.UNKNOWN_LINK_TYPE
    assert decoder.unknown_link_types() == {link_type: 1}


def test_a_pppoe_capture_has_its_session():
    row = one(tunnels.pppoe(tunnels.ppp(V4, address=False)), 51)
    assert (row.tunnel, row.tunnel_id, row.outer_offset, row.src_port) == (TunnelType.PPPOE, 9, -1, 1234)
