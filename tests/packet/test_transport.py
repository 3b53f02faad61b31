import pytest
from craft import (
    ACK,
    CWR,
    DCCP,
    ICMP,
    ICMPV6,
    PSH,
    SCTP,
    TCP,
    UDP,
    UDP_LITE,
    batch,
    dccp,
    ethernet,
    icmp,
    icmpv6,
    ipv4,
    ipv6,
    sctp,
    tcp,
    udp,
)

from sensor.packet.columns import DecodeError, PacketKind, TcpFlag
from sensor.packet.decode import Decoder


def one(packet, caplen=None):
    frame = ethernet(packet)
    return Decoder(1).decode(batch([frame[:caplen]], wirelens=[len(frame)]))[0]


def ports(row):
    return row.src_port, row.dst_port


def test_tcp_fields():
    segment = tcp(b"abcd", 65535, 443, PSH | ACK | CWR, seq=2**32 - 1, ack=2**31, window=512)
    row = one(ipv4(segment))
    assert (row.error, ports(row), row.tcp_flags) == (
        0,
        (65535, 443),
        TcpFlag.PSH | TcpFlag.ACK | TcpFlag.CWR,
    )
    assert (row.tcp_seq, row.tcp_ack, row.tcp_window) == (2**32 - 1, 2**31, 512)
    assert (row.payload_offset, row.payload_bytes, row.payload_captured) == (54, 4, 4)


def test_tcp_options_are_not_payload():
    row = one(ipv4(tcp(b"abcd", options=bytes(40))))
    assert (row.error, row.payload_bytes, row.payload_offset) == (0, 4, 94)


@pytest.mark.parametrize(
    ("size", "known"),
    [
        (3, []),
        (4, ["src_port"]),
        (8, ["src_port", "tcp_seq"]),
        (13, ["src_port", "tcp_seq", "tcp_ack"]),
        (14, ["src_port", "tcp_seq", "tcp_ack", "tcp_flags"]),
        (19, ["src_port", "tcp_seq", "tcp_ack", "tcp_flags", "tcp_window"]),
    ],
)
def test_a_tcp_header_that_was_cut_off_keeps_what_is_there(size, known):
    packet = ipv4(tcp(b"abcd", 1, 2, 3, seq=4, ack=5, window=6))
    row = one(packet, 34 + size)
    assert (row.error, row.kind) == (DecodeError.TRUNCATED_TRANSPORT, PacketKind.IP)
    for name in ("src_port", "tcp_seq", "tcp_ack", "tcp_flags", "tcp_window"):
        assert (row[name] != 0) == (name in known)
    assert (row.payload_bytes, row.payload_offset, row.ip_bytes) == (0, -1, 44)


def test_tcp_options_that_were_cut_off():
    row = one(ipv4(tcp(b"abcd", options=bytes(12))), 60)
    assert (row.error, ports(row)) == (DecodeError.TRUNCATED_TRANSPORT, (40000, 80))
    assert (row.payload_bytes, row.payload_captured, row.payload_offset) == (4, 0, -1)


@pytest.mark.parametrize("header_words", [0, 4, 15])
def test_a_wrong_tcp_data_offset(header_words):
    row = one(ipv4(tcp(b"abcd", header_words=header_words)))
    assert (row.error, row.kind) == (DecodeError.BAD_TRANSPORT_HEADER, PacketKind.IP)
    assert (ports(row), row.tcp_flags, row.payload_bytes) == ((40000, 80), ACK, 0)


def test_a_tiny_first_fragment_has_a_bad_header_but_ports():
    row = one(ipv4(tcp()[:8], more_fragments=True))
    assert (row.error, ports(row), row.tcp_seq) == (DecodeError.BAD_TRANSPORT_HEADER, (40000, 80), 1)


def test_udp_fields():
    row = one(ipv4(udp(b"query", 5353, 53), proto=UDP))
    assert (row.error, ports(row), row.payload_bytes, row.payload_offset) == (0, (5353, 53), 5, 42)
    row = one(ipv4(udp(), proto=UDP))
    assert (row.error, row.payload_bytes, row.payload_offset) == (0, 0, -1)


@pytest.mark.parametrize("length", [0, 1, 7])
def test_a_udp_length_below_its_own_header(length):
    row = one(ipv4(udp(b"abc", length=length), proto=UDP))
    assert (row.error, ports(row), row.payload_bytes) == (DecodeError.BAD_TRANSPORT_HEADER, (40000, 53), 0)
    row = one(ipv6(udp(b"abc", length=length), proto=UDP))
    assert row.error == (DecodeError.BAD_TRANSPORT_HEADER if length else DecodeError.NONE)


def test_icmp_type_and_code_stand_in_the_ports():
    row = one(ipv4(icmp(b"data", kind=3, code=13), proto=ICMP))
    assert (row.error, ports(row), row.payload_bytes) == (0, (3, 13), 4)
    row = one(ipv6(icmpv6(kind=135, code=0), proto=ICMPV6))
    assert (row.error, ports(row), row.payload_bytes) == (0, (135, 0), 0)


def test_icmp_that_was_cut_off():
    packet = ipv4(icmp(b"data", kind=3, code=13), proto=ICMP)
    assert ports(one(packet, 35)) == (0, 0)
    row = one(packet, 36)
    assert (row.error, ports(row)) == (DecodeError.TRUNCATED_TRANSPORT, (3, 13))


@pytest.mark.parametrize(
    ("protocol", "packet", "header"),
    [(SCTP, sctp(b"chunk", 7, 9), 12), (DCCP, dccp(b"chunk", 7, 9), 16), (UDP_LITE, udp(b"chunk", 7, 9), 8)],
)
def test_other_protocols_with_ports(protocol, packet, header):
    row = one(ipv4(packet, proto=protocol))
    assert (row.error, row.protocol, ports(row)) == (0, protocol, (7, 9))
    assert (row.payload_bytes, row.payload_offset) == (5, 34 + header)
    cut = one(ipv4(packet, proto=protocol), 34 + 7)
    assert (cut.error, ports(cut), cut.payload_bytes) == (DecodeError.TRUNCATED_TRANSPORT, (7, 9), 0)


def test_a_wrong_dccp_data_offset():
    packet = dccp(b"", 7, 9)
    row = one(ipv4(packet[:4] + b"\x02" + packet[5:], proto=DCCP))
    assert (row.error, ports(row)) == (DecodeError.BAD_TRANSPORT_HEADER, (7, 9))


@pytest.mark.parametrize("protocol", [0, 2, 4, 41, 47, 50, 89, 112, 255])
def test_protocols_without_ports_keep_addresses_and_length(protocol):
    row = one(ipv4(bytes(range(1, 21)), proto=protocol))
    assert (row.error, row.kind, row.protocol, ports(row)) == (0, PacketKind.IP, protocol, (0, 0))
    assert (row.payload_bytes, row.payload_offset) == (20, 34)


@pytest.mark.parametrize("protocol", [ICMP, TCP, UDP, DCCP, ICMPV6, SCTP, UDP_LITE])
def test_a_header_that_was_never_sent_is_bad(protocol):
    for size in (0, 1, 7):
        row = one(ipv4(bytes(size), proto=protocol))
        assert (row.error, row.kind) == (DecodeError.BAD_TRANSPORT_HEADER, PacketKind.IP)
