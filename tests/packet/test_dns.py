"""Names of DNS: how they are written, and what names that do not hold together come to."""

import struct

import payloads
import pytest

from sensor.packet.application import Application
from sensor.packet.claim import ClaimFlag, claim_fields, claim_rows, claim_text
from sensor.packet.dns import MAX_POINTERS, dns


def read(message, kind=Application.DNS, row=None, captured=None):
    data = payloads.np_bytes(message)
    row = claim_rows(1)[0] if row is None else row
    end = len(data) if captured is None else captured
    row["application"] = dns(data, 0, end, len(data), int(kind), row)
    return row


def name_of(wire, kind=Application.DNS):
    return claim_text(read(payloads.question(wire), kind), "name")


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        ((b"WWW", b"Example", b"org"), "www.example.org"),
        ((), "."),
        ((b"a.b", b"c"), "a\\x2eb.c"),
        ((b"a\\b",), "a\\x5cb"),
        ((b"\xff\x00 z",), "\\xff\\x00 z"),
        ((b"x" * 63,) * 3 + (b"y" * 61,), ".".join(["x" * 63] * 3 + ["y" * 61])),
    ],
)
def test_presentation(labels, text):
    assert name_of(payloads.wire_name(*labels)) == text


def test_a_name_without_room_is_cut_between_characters():
    row = read(payloads.question(payloads.wire_name(*[b"\xee" * 30] * 3)))
    text = claim_text(row, "name")
    assert row["claim_flags"] & ClaimFlag.NAME_CUT
    assert text == (".".join(["\\xee" * 30] * 3))[: len(text)]
    assert text.endswith("\\xee")
    assert 255 - 4 < len(text) <= 255


@pytest.mark.parametrize(
    "wire",
    [
        b"\xc0\x0c",  # itself
        b"\1a\xc0\x0e",  # a ring of two
        b"\1a\xc0\0",  # the header
        b"\x40" + bytes(64),  # a label of a reserved kind
        payloads.wire_name(*[b"x" * 63] * 3, b"y" * 62),  # 256 bytes
        b"".join(b"\xc0" + bytes([14 + 2 * i]) for i in range(MAX_POINTERS + 1)) + b"\0\0",
    ],
)
def test_names_that_do_not_hold_together_are_absent(wire):
    row = read(payloads.question(wire))
    assert row["application"] == Application.DNS
    assert row["claim_flags"] & ClaimFlag.MALFORMED
    assert claim_fields(row) == {}


def test_pointers_up_to_the_cap_are_followed():
    chain = b"".join(b"\xc0" + bytes([14 + 2 * i]) for i in range(MAX_POINTERS))
    row = read(payloads.question(chain + b"\1a\0", tail=bytes(8)))
    assert claim_text(row, "name") == "a"


def test_a_name_that_the_capture_cut_is_absent_and_not_malformed():
    message = payloads.question()
    for captured in range(12, len(payloads.NAME) + 12):
        row = read(message, captured=captured)
        assert row["application"] == Application.DNS
        assert row["claim_flags"] == ClaimFlag.QUERY
        assert claim_text(row, "name") == ""


@pytest.mark.parametrize(
    ("flags", "counts"),
    [
        (0x1800, (1, 0, 0, 0)),  # no such operation
        (0x7800, (1, 0, 0, 0)),
        (0x0100, (0, 0, 0, 0)),  # a query about nothing
        (0x0100, (9, 0, 0, 0)),  # more questions than there is room for
        (0x8180, (1, 9, 0, 0)),
    ],
)
def test_headers_that_cannot_be(flags, counts):
    row = read(payloads.question(flags=flags, counts=counts))
    assert row["application"] == Application.UNKNOWN
    assert not row["filled"]


def test_an_answer_cut_for_size_may_count_what_it_left_out():
    row = read(payloads.question(flags=0x8380, counts=(1, 40, 0, 0)))
    assert claim_fields(row)["dns.answers_count"] == 40


def test_a_refusal_may_be_a_header_alone():
    assert claim_fields(read(struct.pack(">6H", 1, 0x8185, 0, 0, 0, 0))) == {
        "dns.response_code": "REFUSED",
        "dns.answers_count": 0,
    }


def test_query_and_answer_fill_one_claim():
    row = read(payloads.question())
    assert claim_fields(row) == {"dns.question.name": "www.example.org", "dns.question.type": "A"}
    read(payloads.question(payloads.wire_name(b"other"), 28, 0x8183, (1, 0, 0, 0)), row=row)
    assert claim_fields(row) == {
        "dns.question.name": "www.example.org",
        "dns.question.type": "A",
        "dns.response_code": "NXDOMAIN",
        "dns.answers_count": 0,
    }


@pytest.mark.parametrize(
    ("label", "text"),
    [
        (payloads.netbios_label(b"WORKGROUP", 0x1D), "workgroup<1d>"),
        (payloads.netbios_label(b"*".ljust(15, b"\0"), 0), "*<00>"),
        (payloads.netbios_label(b"", 0x20), "<20>"),
        (b"EGEGEGEGEGEGEGEGEGEGEGEGEGEGEGEG", "fffffffffffffff<46>"),
        (b"QGEGEGEGEGEGEGEGEGEGEGEGEGEGEGEG", "qgegegegegegegegegegegegegegegeg"),
        (b"SHORT", "short"),
    ],
)
def test_netbios_names(label, text):
    assert name_of(payloads.wire_name(label, b"Scope"), Application.NBNS) == f"{text}.scope"
    assert claim_fields(read(payloads.question(payloads.wire_name(label), 32, 0x2910), Application.NBNS))[
        "dns.question.type"
    ] == ("NB")
