"""What a claim's row says in ECS names."""

import numpy as np
import payloads
import pytest

from sensor.packet.application import Application, protocol_name
from sensor.packet.claim import CLAIM, ClaimFlag, claim_fields, claim_rows


def row(application, **values):
    claim = claim_rows(1)[0]
    claim["application"] = Application[application]
    for name, value in values.items():
        if isinstance(value, str):
            claim[name][: len(value)] = payloads.np_bytes(value.encode())
            claim[f"{name}_bytes"] = len(value)
        else:
            claim[name] = value
    return claim


@pytest.mark.parametrize("application", list(Application))
def test_a_blank_claim_says_nothing(application):
    assert claim_fields(row(application.name)) == {}


def test_names_of_protocols():
    assert protocol_name(Application.DNS) == "dns"
    assert protocol_name(Application.UNKNOWN) == protocol_name(255) == ""
    assert len({protocol_name(one) for one in Application}) == len(Application)


def test_a_dns_claim():
    claim = row("MDNS", name="a.local", dns_type=65000, dns_rcode=15, dns_answers=3, claim_flags=2)
    assert claim_fields(claim) == {
        "dns.question.name": "a.local",
        "dns.question.type": "TYPE65000",
        "dns.response_code": "RCODE15",
        "dns.answers_count": 3,
    }


def test_a_tls_claim():
    claim = row("TLS", name="a.org", ja4="t" * 36, alpn="h2", tls_offered=0x0304, tls_version=0x0303)
    claim["tls_cipher"] = 0xC02F
    assert claim_fields(claim) == {
        "tls.client.server_name": "a.org",
        "tls.client.ja4": "t" * 36,
        "tls.client.version": "1.3",
        "tls.version": "1.2",
        "tls.cipher": "0xc02f",
        "tls.next_protocol": "h2",
    }
    assert claim_fields(row("TLS", tls_offered=0x7F1C)) == {"tls.client.version": "0x7f1c"}


@pytest.mark.parametrize(
    ("host", "domain", "port"),
    [
        ("a.org", "a.org", None),
        ("a.org:8080", "a.org", 8080),
        ("[::1]:80", "[::1]", 80),
        ("[::1]", "[::1]", None),
        ("::1", "::1", None),
        ("a:b", "a:b", None),
        ("a:123456", "a:123456", None),
        (":80", None, 80),
    ],
)
def test_an_http_claim(host, domain, port):
    flags = int(ClaimFlag.TARGET_CUT | ClaimFlag.AGENT_CUT)
    claim = row(
        "HTTP", name=host, method="GET", target="/a?b=c?d", agent="x", http_status=200, claim_flags=flags
    )
    expected = {
        "http.request.method": "GET",
        "url.path": "/a",
        "url.query": "b=c?d",
        "url.domain": domain,
        "url.port": port,
        "user_agent.original": "x",
        "http.response.status_code": 200,
        "claim.cut": "target,agent",
    }
    assert claim_fields(claim) == {name: value for name, value in expected.items() if value is not None}


@pytest.mark.parametrize(
    ("claim", "fields"),
    [
        (
            row("SSH", agent="SSH-2.0-a", server="SSH-2.0-b"),
            {"ssh.client": "SSH-2.0-a", "ssh.server": "SSH-2.0-b"},
        ),
        (row("RDP", target="someone"), {"rdp.cookie": "someone"}),
        (row("TFTP", target="boot"), {"file.name": "boot"}),
        (
            row("SIP", method="INVITE", target="sip:a@b", http_status=180),
            {"sip.request.method": "INVITE", "sip.request.uri": "sip:a@b", "sip.response.status_code": 180},
        ),
        (row("RTSP", method="PLAY"), {"rtsp.request.method": "PLAY"}),
        (row("MODBUS", name="leftover"), {}),
    ],
)
def test_other_claims(claim, fields):
    assert claim_fields(claim) == fields


def test_a_row_is_of_fixed_width():
    assert CLAIM.itemsize == np.zeros(1, CLAIM).nbytes <= 640
