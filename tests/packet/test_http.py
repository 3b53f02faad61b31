"""Heads of HTTP and its kin: which lines count, what fills a field, what is left alone."""

import payloads
import pytest

from sensor.packet.application import Application
from sensor.packet.claim import ClaimFlag, claim_rows, claim_text
from sensor.packet.http import HEAD_BYTES, http

HTTP, SIP, RTSP, UNKNOWN = (int(Application[name]) for name in ("HTTP", "SIP", "RTSP", "UNKNOWN"))


def read(payload, row=None):
    data = payloads.np_bytes(payload)
    row = claim_rows(1)[0] if row is None else row
    return http(data, 0, len(data), row), row


@pytest.mark.parametrize(
    ("line", "protocol"),
    [
        (b"GET / HTTP/1.1\r\n", HTTP),
        (b"GET / HTTP/1.1\n", HTTP),
        (b"BREW /pot HTTP/1.0\r\n", HTTP),
        (b"PRI * HTTP/2.0\r\n", HTTP),
        (b"GET /0.9\r\n", HTTP),
        (b"INVITE sip:a@b SIP/2.0\r\n", SIP),
        (b"DESCRIBE rtsp://a/b RTSP/1.0\r\n", RTSP),
        (b"RTSP/1.0 200 OK\r\n", RTSP),
        (b"HTTP/1.0 200\r\n", HTTP),
        (b"GET nothing\r\n", UNKNOWN),
        (b"GET / HTTP/1.12\r\n", UNKNOWN),
        (b"GET / http/1.1\r\n", UNKNOWN),
        (b"get / HTTP/1.1\r\n", UNKNOWN),
        (b"G3T / HTTP/1.1\r\n", UNKNOWN),
        (b"ABCDEFGHIJKLMNOPQ / HTTP/1.1\r\n", UNKNOWN),
        (b"HTTP/1.01 200 OK\r\n", UNKNOWN),
        (b"SIP/2.1 200 OK\r\n", UNKNOWN),
        (b"RETR /etc/motd\r\n", UNKNOWN),
    ],
)
def test_first_lines(line, protocol):
    found, row = read(line)
    assert found == protocol
    assert row["filled"] == (protocol != UNKNOWN)


@pytest.mark.parametrize(
    ("line", "target"),
    [
        (b"GET /a b HTTP/1.1\r\n", "/a b"),
        (b"GET   /a  HTTP/1.1\r\n", "/a"),
        (b"GET /a   HTTP/1.1\r\n", "/a"),
        (b"GET HTTP/1.1\r\n", ""),
        (b"GET /\xe4\\ HTTP/1.1\r\n", "/\\xe4\\x5c"),
        (b"GET /" + b"a" * 95 + b" HTTP/1.1\r\n", "/" + "a" * 95),
        (b"GET /" + b"a" * 96 + b" HTTP/1.1\r\n", "/" + "a" * 95),
    ],
)
def test_targets(line, target):
    _, row = read(line)
    assert claim_text(row, "target") == target
    assert bool(row["claim_flags"] & ClaimFlag.TARGET_CUT) == (len(line) > 5 + 95 + 11)


@pytest.mark.parametrize(
    ("begin", "protocol", "target"),
    [
        (b"GET /a.html", HTTP, ""),
        (b"GET http://a.b", HTTP, ""),
        (b"GET a.html", UNKNOWN, ""),
        (b"BREW /" + b"a" * 100, UNKNOWN, ""),
        (b"BREW /" + b"a" * 300, HTTP, "/" + "a" * 95),
        (b"GET /" + b"a" * 300, HTTP, "/" + "a" * 95),
        (b"GET /" + b"a" * 50 + b" " + b"a" * 300, HTTP, ""),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n", HTTP, "/" + "a" * 95),
    ],
)
def test_request_lines_that_go_on_in_the_next_segment(begin, protocol, target):
    found, row = read(begin)
    assert found == protocol
    assert claim_text(row, "target") == target


@pytest.mark.parametrize(
    ("status", "number"),
    [
        (b"200 OK", 200),
        (b"404", 404),
        (b"000 zero", 0),
        (b"20x", 0),
        (b"2000 long", 0),
        (b"20", 0),
        (b" 200", 0),
    ],
)
def test_status(status, number):
    found, row = read(b"HTTP/1.1 " + status + b"\r\n\r\n")
    assert found == HTTP
    assert row["http_status"] == number


HEAD = b"GET / HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("lines", "host", "agent"),
    [
        (b"Host: Example.org\r\nUser-Agent: a\r\n\r\n", "example.org", "a"),
        (b"hOST:\t example.org \t\r\nUSER-AGENT:a\r\n\r\n", "example.org", "a"),
        (b"Host: one\r\nHost: two\r\n\r\n", "one", ""),
        (b"Host:\r\nHost: two\r\n\r\n", "two", ""),
        (b"Hosts: one\r\nUser-Agents: b\r\n\r\n", "", ""),
        (b" Host: one\r\n\r\n", "", ""),
        (b"\r\nHost: body\r\n", "", ""),
        (b"Host: cut", "", ""),
        (b"Host: not\r\nUser-Agent: whole", "not", ""),
        (b"User-Agent: " + b"a" * 97, "", "a" * 96),
        (b"User-Agent: " + b"a" * 96, "", ""),
        (b"X: 1\r\n" * 63 + b"Host: last\r\n\r\n", "last", ""),
        (b"X: 1\r\n" * 64 + b"Host: beyond\r\n\r\n", "", ""),
        (b"X: " + b"1" * HEAD_BYTES + b"\r\nHost: beyond\r\n\r\n", "", ""),
    ],
)
def test_headers(lines, host, agent):
    _, row = read(HEAD + lines)
    assert claim_text(row, "name") == host
    assert claim_text(row, "agent") == agent


def test_a_response_has_a_server_and_no_host():
    _, row = read(b"HTTP/1.1 200 OK\r\nHost: a\r\nUser-Agent: b\r\nServer: c\r\n\r\n")
    assert claim_text(row, "name") == claim_text(row, "agent") == ""
    assert claim_text(row, "server") == "c"


def test_the_first_request_and_the_first_response_count():
    _, row = read(HEAD + b"Host: first\r\n\r\n")
    read(b"POST /second HTTP/1.1\r\nHost: second\r\n\r\n", row)
    read(b"HTTP/1.1 200 OK\r\n\r\n", row)
    read(b"HTTP/1.1 500 Error\r\n\r\n", row)
    assert (claim_text(row, "method"), claim_text(row, "name"), row["http_status"]) == ("GET", "first", 200)
