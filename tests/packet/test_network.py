import pytest
from craft import (
    ICMPV6,
    TCP,
    UDP,
    arp,
    auth_header,
    batch,
    ethernet,
    fragment_header,
    icmpv6,
    ipv4,
    ipv6,
    option_header,
    tcp,
    udp,
    words,
)

from sensor.packet.columns import DecodeError, PacketKind
from sensor.packet.decode import Decoder


def one(frame, wirelen=None):
    return Decoder(1).decode(batch([frame], wirelens=None if wirelen is None else [wirelen]))[0]


def test_ipv4_fields():
    row = one(ethernet(ipv4(tcp(), src="192.0.2.1", dst="198.51.100.200", ttl=7, identification=0xABCD)))
    assert (row.src_hi, row.src_lo) == words("192.0.2.1")
    assert (row.dst_hi, row.dst_lo) == words("198.51.100.200")
    assert (row.ip_version, row.ttl, row.protocol, row.ip_bytes, row.fragment_id) == (4, 7, 6, 40, 0xABCD)


def test_ipv6_fields():
    row = one(ethernet(ipv6(udp(b"abc"), src="2001:db8::ff00:1", dst="fe80::1:2", proto=UDP, hop_limit=3)))
    assert (row.src_hi, row.src_lo) == words("2001:db8::ff00:1")
    assert (row.dst_hi, row.dst_lo) == words("fe80::1:2")
    assert (row.ip_version, row.ttl, row.protocol, row.ip_bytes, row.fragment_id) == (6, 3, 17, 51, 0)


@pytest.mark.parametrize("size", [4, 20, 40])
def test_ipv4_options_are_stepped_over(size):
    row = one(ethernet(ipv4(tcp(b"xyz"), options=b"\x01" * size)))
    assert (row.error, row.src_port, row.payload_bytes, row.ip_bytes) == (0, 40000, 3, 43 + size)


def test_padding_is_not_payload():
    row = one(ethernet(ipv4(udp(b"x"), proto=UDP), pad=True))
    assert (row.wirelen, row.ip_bytes, row.payload_bytes, row.payload_captured) == (60, 29, 1, 1)
    row = one(ethernet(ipv6(b"", proto=59), pad=True))
    assert (row.ip_bytes, row.payload_bytes, row.protocol, row.error) == (40, 0, 59, 0)
    assert row.payload_offset == -1


def test_lengths_of_segments_that_the_nic_was_to_cut():
    payload = tcp(bytes(3000))
    row = one(ethernet(ipv4(payload, total_length=0)))
    assert (row.error, row.ip_bytes, row.payload_bytes) == (0, 3040, 3000)
    row = one(ethernet(ipv6(payload, payload_length=0)))
    assert (row.error, row.ip_bytes, row.payload_bytes) == (0, 3060, 3000)
    row = one(ethernet(ipv4(payload, total_length=0))[:60], wirelen=14 + 3040)
    assert (row.error, row.payload_bytes, row.payload_captured) == (0, 3000, 6)


def test_lengths_are_bounded_by_the_frame():
    row = one(ethernet(ipv4(tcp(b"12345"), total_length=9000)))
    assert (row.error, row.ip_bytes, row.payload_bytes) == (0, 45, 5)
    row = one(ethernet(ipv6(tcp(b"12345"), payload_length=9000)))
    assert (row.error, row.ip_bytes, row.payload_bytes) == (0, 65, 5)


def test_a_wire_length_below_the_captured_one_is_raised():
    row = one(ethernet(ipv4(tcp(b"12345"))), wirelen=20)
    assert (row.wirelen, row.caplen, row.ip_bytes) == (59, 59, 45)


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (ipv4(tcp(), version=5), DecodeError.BAD_IP_VERSION),
        (ipv4(tcp(), header_words=4), DecodeError.BAD_IP_HEADER_LENGTH),
        (ipv4(tcp(), header_words=0), DecodeError.BAD_IP_HEADER_LENGTH),
        (ipv4(tcp(), total_length=19), DecodeError.BAD_IP_TOTAL_LENGTH),
        (ipv4(tcp(), options=bytes(8), total_length=27), DecodeError.BAD_IP_TOTAL_LENGTH),
        (ipv4(tcp())[:19], DecodeError.TRUNCATED_NETWORK),
    ],
)
def test_bad_ipv4_headers_leave_no_addresses(packet, code):
    row = one(ethernet(packet, ethertype=0x0800))
    assert (row.error, row.kind) == (code, PacketKind.UNDECODED)
    assert (row.src_lo, row.ip_version, row.ip_bytes) == (0, 0, 0)
    assert row.ethertype == 0x0800


def test_bad_ipv6_headers():
    row = one(ethernet(ipv6(tcp(), version=7), ethertype=0x86DD))
    assert (row.error, row.kind) == (DecodeError.BAD_IP_VERSION, PacketKind.UNDECODED)
    row = one(ethernet(ipv6(tcp()))[:53], wirelen=74)
    assert (row.error, row.kind) == (DecodeError.TRUNCATED_NETWORK, PacketKind.UNDECODED)


def test_options_that_were_cut_off_leave_the_addresses():
    row = one(ethernet(ipv4(tcp(), options=bytes(20)))[:40], wirelen=74)
    assert (row.error, row.kind) == (DecodeError.TRUNCATED_NETWORK, PacketKind.IP)
    assert (row.src_lo, row.ip_bytes, row.protocol) == (words("10.0.0.1")[1], 60, 0)


def test_ipv4_fragments():
    first = one(ethernet(ipv4(udp(bytes(16)), proto=UDP, more_fragments=True, identification=77)))
    assert (first.src_port, first.fragment_offset, first.more_fragments) == (40000, 0, 1)
    assert (first.fragment_id, first.payload_bytes) == (77, 16)
    later = one(ethernet(ipv4(bytes(24), proto=UDP, fragment_offset=65528, identification=77)))
    assert (later.src_port, later.dst_port, later.fragment_offset) == (0, 0, 65528)
    assert (later.more_fragments, later.protocol, later.fragment_id) == (0, UDP, 77)
    assert (later.payload_bytes, later.payload_offset, later.error) == (24, 34, 0)


def test_ipv6_fragments():
    head = (44, fragment_header(more=True, identification=0xDEADBEEF))
    first = one(ethernet(ipv6(udp(bytes(8)), proto=UDP, extensions=[head])))
    assert (first.src_port, first.more_fragments, first.fragment_id) == (40000, 1, 0xDEADBEEF)
    head = (44, fragment_header(1232, identification=5))
    later = one(ethernet(ipv6(bytes(30), proto=60, extensions=[head])))
    assert (later.fragment_offset, later.more_fragments, later.fragment_id) == (1232, 0, 5)
    assert (later.protocol, later.src_port, later.payload_bytes, later.error) == (60, 0, 30, 0)


ALL_EXTENSIONS = [
    (0, option_header()),
    (60, option_header(bytes(20))),
    (43, option_header(bytes(22))),
    (44, fragment_header()),
    (51, auth_header(24)),
    (135, option_header()),
    (139, option_header(bytes(38))),
    (140, option_header()),
]


@pytest.mark.parametrize("count", range(9))
def test_extension_headers_are_stepped_over(count):
    packet = ipv6(icmpv6(b"ping"), proto=ICMPV6, extensions=ALL_EXTENSIONS[:count])
    row = one(ethernet(packet))
    assert (row.error, row.protocol, row.src_port, row.dst_port) == (0, ICMPV6, 128, 0)
    assert (row.ip_bytes, row.payload_bytes) == (len(packet), 4)


def test_a_ninth_extension_header_is_too_many():
    row = one(ethernet(ipv6(tcp(), extensions=[*ALL_EXTENSIONS, (60, option_header())])))
    assert (row.error, row.kind, row.protocol) == (DecodeError.TOO_MANY_LAYERS, PacketKind.IP, 0)
    assert (row.src_hi, row.src_lo) == words("2001:db8::1")


@pytest.mark.parametrize("kind", [0, 43, 44, 51, 60, 135, 139, 140])
def test_an_extension_header_longer_than_its_packet_is_bad(kind):
    row = one(ethernet(ipv6(b"\x06\xff" + bytes(5), proto=kind), pad=True))
    assert (row.error, row.kind, row.protocol) == (DecodeError.BAD_EXTENSION_HEADER, PacketKind.IP, 0)
    if kind != 44:
        row = one(ethernet(ipv6(b"\x06\xff" + bytes(14), proto=kind)))
        assert row.error == DecodeError.BAD_EXTENSION_HEADER


def test_an_extension_header_that_was_cut_off():
    frame = ethernet(ipv6(tcp(), extensions=[(0, option_header(bytes(20)))]))
    for size in (54, 58, 62, 70):
        row = one(frame[:size], wirelen=len(frame))
        assert (row.error, row.kind, row.protocol) == (DecodeError.TRUNCATED_NETWORK, PacketKind.IP, 0)


@pytest.mark.parametrize("protocol", [50, 59])
def test_what_ends_an_extension_chain(protocol):
    row = one(ethernet(ipv6(bytes(20), proto=protocol, extensions=[(60, option_header())])))
    assert (row.error, row.protocol, row.src_port, row.payload_bytes) == (0, protocol, 0, 20)


def test_the_authentication_header_of_ipv4():
    body = bytes([TCP]) + auth_header()[1:] + tcp(b"abc")
    row = one(ethernet(ipv4(body, proto=51)))
    assert (row.error, row.protocol, row.src_port, row.payload_bytes) == (0, TCP, 40000, 3)
    later = one(ethernet(ipv4(body, proto=51, fragment_offset=8)))
    assert (later.error, later.protocol, later.src_port) == (0, 51, 0)


def test_ipv6_headers_mean_nothing_in_ipv4():
    row = one(ethernet(ipv4(bytes(16), proto=60)))
    assert (row.error, row.protocol, row.payload_bytes) == (0, 60, 16)


def test_arp_fields():
    row = one(ethernet(arp(2, "10.0.0.9", "10.0.0.8"), ethertype=0x0806, pad=True))
    assert (row.kind, row.error, row.arp_operation) == (PacketKind.ARP, 0, 2)
    assert (row.src_hi, row.src_lo, row.dst_hi, row.dst_lo) == (*words("10.0.0.9"), *words("10.0.0.8"))
    assert (row.ip_version, row.protocol, row.ip_bytes) == (0, 0, 0)


def test_arp_with_other_hardware_lengths():
    body = b"\0\x06\x08\0\x00\x04\0\x01" + bytes([10, 0, 0, 1, 10, 0, 0, 2])
    row = one(ethernet(body, ethertype=0x0806))
    assert (row.src_lo, row.dst_lo) == (words("10.0.0.1")[1], words("10.0.0.2")[1])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (arp()[:7], DecodeError.BAD_ARP),
        (arp()[:27], DecodeError.BAD_ARP),
        (arp()[:5] + b"\x06" + arp()[6:], DecodeError.BAD_ARP),
        (arp()[:4] + b"\xff" + arp()[5:], DecodeError.BAD_ARP),
        (arp()[:2] + b"\x80\x9b" + arp()[4:], DecodeError.NONE),  # AppleTalk
    ],
)
def test_arp_without_ipv4_addresses(body, code):
    row = one(ethernet(body, ethertype=0x0806))
    assert (row.error, row.src_lo, row.dst_lo) == (code, 0, 0)


def test_arp_that_was_cut_off():
    frame = ethernet(arp(), ethertype=0x0806)
    assert one(frame[:20], wirelen=42).error == DecodeError.TRUNCATED_NETWORK
    row = one(frame[:41], wirelen=42)
    assert (row.error, row.kind, row.arp_operation) == (DecodeError.TRUNCATED_NETWORK, PacketKind.ARP, 1)
    assert (row.src_lo, row.dst_lo) == (0, 0)
