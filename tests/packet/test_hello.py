"""Hellos that go on in the next segment, contradict themselves, or say things twice."""

import payloads
import pytest

from sensor.packet.claim import ClaimFlag, claim_fields, claim_rows, claim_scratch, claim_text
from sensor.packet.hello import hello
from sensor.packet.tls import tls

RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def read(payload, row=None):
    data = payloads.np_bytes(payload)
    row, scratch = claim_rows(1)[0] if row is None else row, claim_scratch()[0]
    tls(data, 0, len(data), scratch)
    if scratch.client >= 0:
        hello(data, row, scratch)
    return row


def test_a_name_in_the_first_segment_counts_though_the_hello_goes_on():
    key_share = payloads.extension(51, bytes(1300))
    whole = payloads.record(payloads.client_hello(extensions=[*payloads.EXTENSIONS, key_share]))
    row = read(whole[:1000])
    assert claim_text(row, "name") == "www.example.org"
    assert claim_text(row, "alpn") == "h2"
    assert row["tls_offered"] == 0x0304
    assert claim_text(row, "ja4") == ""
    assert row["claim_flags"] == ClaimFlag.QUERY | ClaimFlag.SPLIT


def test_a_version_that_a_later_extension_may_override_is_absent():
    whole = payloads.record(payloads.client_hello(extensions=[payloads.extension(51, bytes(900))]))
    assert read(whole)["tls_offered"] == 0x0303
    assert read(whole[:500])["tls_offered"] == 0


def test_a_hello_in_two_records_is_read_as_far_as_the_first_goes():
    body = payloads.client_hello()
    message = b"\1" + payloads.vector(body, 3)
    cut = len(message) - 20
    records = (
        b"\x16\3\1" + payloads.vector(message[:cut], 2) + b"\x16\3\1" + payloads.vector(message[cut:], 2)
    )
    row = read(records)
    assert claim_text(row, "name") == "www.example.org"
    assert claim_text(row, "ja4") == ""
    assert row["claim_flags"] & ClaimFlag.SPLIT


def test_of_two_names_the_first_counts():
    both = [payloads.server_name(b"first.example"), payloads.server_name(b"second.example")]
    assert (
        claim_text(read(payloads.record(payloads.client_hello(extensions=both))), "name") == "first.example"
    )


@pytest.mark.parametrize(
    "extensions",
    [
        [payloads.extension(7, bytes(4))[:-1]],  # the last runs beyond the list
        [payloads.extension(7, b""), b"\0\0\0"],  # three bytes are no header
        [payloads.extension(7, b"")] * 257,
    ],
)
def test_lengths_that_lie_are_malformed(extensions):
    row = read(payloads.record(payloads.client_hello(extensions=extensions)))
    assert row["claim_flags"] == ClaimFlag.QUERY | ClaimFlag.MALFORMED
    assert claim_text(row, "ja4") == ""


@pytest.mark.parametrize("name", [b"\0\0\0", b"\0\x09\0\0\x08abc", b"\0\6\1\0\3abc", b""])
def test_a_server_name_that_does_not_fit_is_absent(name):
    row = read(payloads.record(payloads.client_hello(extensions=[payloads.extension(0, name)])))
    assert claim_text(row, "name") == ""
    assert claim_text(row, "ja4").startswith("t12d")


def test_a_server_s_choice():
    chosen = payloads.extension(43, b"\3\4")
    row = read(payloads.record(payloads.server_hello(0x1302, [chosen, payloads.alpn(b"h2")]), 2))
    assert claim_fields(with_application(row)) == {
        "tls.version": "1.3",
        "tls.cipher": "0x1302",
        "tls.next_protocol": "h2",
    }
    assert row["claim_flags"] == ClaimFlag.RESPONSE | ClaimFlag.ALPN_CHOSEN


def with_application(row):
    row["application"] = 5
    return row


def test_a_request_for_another_hello_is_marked():
    assert read(payloads.record(payloads.server_hello(random=RETRY), 2))["claim_flags"] & ClaimFlag.RETRY
    other = RETRY[:15] + b"\0" + RETRY[16:]
    assert not read(payloads.record(payloads.server_hello(random=other), 2))["claim_flags"] & ClaimFlag.RETRY


def test_the_server_s_alpn_takes_the_place_of_the_offer():
    row = read(payloads.record(payloads.client_hello()))
    read(payloads.record(payloads.server_hello(extensions=[payloads.alpn(b"http/1.1")]), 2), row)
    assert claim_text(row, "alpn") == "http/1.1"
    assert claim_text(row, "ja4")[8:10] == "h2"


def test_a_name_longer_than_its_field_is_cut_between_characters():
    row = read(payloads.record(payloads.client_hello(extensions=[payloads.server_name(b"\xff" * 300)])))
    assert claim_text(row, "name") == "\\xff" * 63
    assert row["claim_flags"] & ClaimFlag.NAME_CUT
