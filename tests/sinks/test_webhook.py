from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from email.utils import formatdate

import pytest
from alert_examples import OBSERVER, PORT_SCAN, numbered
from certificates import server_context
from receivers import Answer, HttpReceiver, free_port

from sensor.errors import ConfigError, DeliveryError
from sensor.formats import ecs
from sensor.sinks.webhook import Webhook


@pytest.fixture
def receiver():
    with HttpReceiver() as server:
        yield server


def refused(sink) -> DeliveryError:
    with pytest.raises(DeliveryError) as failed:
        sink.send(PORT_SCAN)
    return failed.value


def test_alerts_arrive_whole_over_one_connection(receiver):
    sent = numbered(20)
    sink = Webhook(receiver.url, observer=OBSERVER, headers={"X-Site": "lab"})
    for alert in sent:
        sink.send(alert)
    sink.close()
    assert [request.body for request in receiver.requests] == [ecs.render(a, OBSERVER) for a in sent]
    assert [request.headers["webhook-id"] for request in receiver.requests] == [a.id for a in sent]
    assert len({request.peer for request in receiver.requests}) == 1
    first = receiver.requests[0]
    assert first.path == "/hook"
    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["X-Site"] == "lab"
    assert "webhook-signature" not in first.headers


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_success(receiver, status):
    receiver.answers.append(Answer(status, body=b"" if status == 204 else b"thanks"))
    Webhook(receiver.url, observer=OBSERVER).send(PORT_SCAN)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 409, 410, 413, 422])
def test_a_refusal_is_final_and_tells_what_was_answered(receiver, status):
    receiver.answers.append(Answer(status, body=b"no: \x1b[31m\n" + b"x" * 2000))
    error = refused(Webhook(receiver.url, observer=OBSERVER))
    assert not error.retry
    assert f"HTTP {status}: no: \\x1b[31m\\x0ax" in str(error)
    assert len(str(error)) < 600


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(receiver, status):
    receiver.answers.append(Answer(status, {"Location": receiver.url}))
    assert not refused(Webhook(receiver.url, observer=OBSERVER)).retry
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_can_be_retried(receiver, status):
    receiver.answers.append(Answer(status, body=b"later"))
    error = refused(Webhook(receiver.url, observer=OBSERVER))
    assert error.retry
    assert error.retry_after_secs is None
    assert f"HTTP {status}: later" in str(error)


def test_retry_after_is_read_as_seconds_and_as_date(receiver):
    sink = Webhook(receiver.url, observer=OBSERVER)
    receiver.answers.append(Answer(429, {"Retry-After": "17"}))
    assert refused(sink).retry_after_secs == 17
    receiver.answers.append(Answer(503, {"Retry-After": formatdate(time.time() + 120, usegmt=True)}))
    assert 100 < refused(sink).retry_after_secs <= 120
    receiver.answers.append(Answer(503, {"Retry-After": "999999999"}))
    assert refused(sink).retry_after_secs == 3600


def test_a_broken_connection_can_be_retried_and_the_next_alert_gets_through(receiver):
    sink = Webhook(receiver.url, observer=OBSERVER)
    receiver.answers.append(Answer(reset=True))
    assert refused(sink).retry
    sink.send(PORT_SCAN)
    assert len(receiver.requests) == 2


def test_nobody_listening_can_be_retried():
    error = refused(Webhook(f"http://127.0.0.1:{free_port()}/T0/SECRET", observer=OBSERVER))
    assert error.retry
    assert "refused" in str(error)
    assert "SECRET" not in str(error)


def test_a_name_that_does_not_exist_can_be_retried():
    assert refused(Webhook("http://no-such-host.invalid/", observer=OBSERVER, timeout_secs=3.0)).retry


def test_a_slow_answer_times_out(receiver):
    receiver.answers.append(Answer(wait_secs=5.0))
    error = refused(Webhook(receiver.url, observer=OBSERVER, timeout_secs=0.2))
    assert error.retry
    assert "Timeout" in str(error)


def test_a_dripping_answer_is_left_after_the_limit(receiver):
    receiver.answers.append(Answer(400, body=b"z" * 1000, drip_secs=0.05))
    sink = Webhook(receiver.url, observer=OBSERVER, timeout_secs=0.3)
    error = refused(sink)
    assert not error.retry
    assert 1 <= str(error).count("z") < 100
    sink.send(PORT_SCAN)
    assert len({request.peer for request in receiver.requests}) == 2


@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_answer_is_read_only_in_part(receiver, chunked):
    sink = Webhook(receiver.url, observer=OBSERVER)
    for status in (200, 500):
        receiver.answers.append(Answer(status, body=b"y" * 5_000_000, chunked=chunked))
    sink.send(PORT_SCAN)
    error = refused(sink)
    assert str(error).count("y") == 512
    sink.send(PORT_SCAN)
    # Each half-read answer cost its connection: nobody waited for the rest.
    assert len({request.peer for request in receiver.requests}) == 3


def test_a_compressed_answer_is_not_unpacked(receiver):
    receiver.answers.append(Answer(400, {"Content-Encoding": "gzip"}, body=b"\x1f\x8b not gzip"))
    assert "\\x1f\\x8b not gzip" in str(refused(Webhook(receiver.url, observer=OBSERVER)))


# ---------------------------------------------------------------- who we are, who they are


def test_signatures_verify_by_the_published_rule(receiver, tmp_path):
    new, old = b"n" * 32, b"plain old secret"
    secrets = tmp_path / "secret"
    secrets.write_text(f"whsec_{base64.b64encode(new).decode()}\n{old.decode()}\n")
    started = int(time.time())
    Webhook(receiver.url, observer=OBSERVER, secret_file=str(secrets)).send(PORT_SCAN)
    request = receiver.requests[0]
    stamp = request.headers["webhook-timestamp"]
    assert started <= int(stamp) <= time.time()
    content = f"{PORT_SCAN.id}.{stamp}.".encode() + request.body
    expected = [
        "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in (new, old)
    ]
    assert request.headers["webhook-signature"].split(" ") == expected
    assert json.loads(request.body)["event"]["id"] == request.headers["webhook-id"]


def test_the_token_is_sent_and_never_shown(receiver, tmp_path, monkeypatch):
    (tmp_path / "token").write_text("s3cr3t-token\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    sink = Webhook(
        receiver.url + "?key=s3cr3t-key",
        observer=OBSERVER,
        token_file="${CREDENTIALS_DIRECTORY}/token",  # noqa: S106  (a path)
        headers={"X-Api-Key": "s3cr3t-header"},
    )
    receiver.answers.extend([Answer(403), Answer(reset=True)])
    shown = [repr(sink), str(refused(sink)), str(refused(sink))]
    assert receiver.requests[0].headers["Authorization"] == "Bearer s3cr3t-token"
    assert receiver.requests[0].headers["X-Api-Key"] == "s3cr3t-header"
    assert not any("s3cr3t" in words for words in shown)


def test_the_environment_changes_nothing(receiver, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    Webhook(receiver.url, observer=OBSERVER).send(PORT_SCAN)
    assert "Authorization" not in receiver.requests[0].headers


def test_a_proxy_is_used_when_configured(receiver):
    proxy = receiver.url.removesuffix("/hook")
    Webhook("http://collector.example/in", observer=OBSERVER, proxy_url=proxy).send(PORT_SCAN)
    assert receiver.requests[0].path == "http://collector.example/in"


def test_a_verified_receiver_gets_alerts_over_tls(authority, server_certificate, client_certificate):
    with HttpReceiver(server_context(server_certificate, authority.cert)) as receiver:
        sink = Webhook(
            receiver.url,
            observer=OBSERVER,
            ca_file=authority.cert,
            client_cert_file=client_certificate.cert,
            client_key_file=client_certificate.key,
        )
        sink.send(PORT_SCAN)
        sink.close()
        assert len(receiver.requests) == 1
        without = Webhook(receiver.url, observer=OBSERVER, ca_file=authority.cert)
        assert refused(without).retry
        assert len(receiver.requests) == 1


@pytest.mark.parametrize("wrong", ["authority", "name", "date"])
def test_a_wrong_certificate_is_refused(
    authority, stranger, server_certificate, expired_certificate, foreign_name_certificate, wrong
):
    certificate = {
        "authority": server_certificate,
        "name": foreign_name_certificate,
        "date": expired_certificate,
    }[wrong]
    trusted = stranger.cert if wrong == "authority" else authority.cert
    with HttpReceiver(server_context(certificate)) as receiver:
        error = refused(Webhook(receiver.url, observer=OBSERVER, ca_file=trusted))
        assert error.retry
        assert "SSL" in str(error)
        assert receiver.requests == []


# ---------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://host/",
        "http://",
        "https:///path",
        "host.example",
        "http://[::1",
        "http://h:99999/",
        "http://*/",
    ],
)
def test_a_malformed_url_is_a_matter_of_configuration(url):
    with pytest.raises(ConfigError, match="url"):
        Webhook(url, observer=OBSERVER)


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "\xe9", "\u2028"])
def test_a_malformed_header_is_a_matter_of_configuration(value):
    with pytest.raises(ConfigError, match="headers"):
        Webhook("http://host.example/", observer=OBSERVER, headers={"X": value})


@pytest.mark.parametrize("content", ["whsec_!!!", "whsec_", "", "\n\n", "\xe9"])
def test_an_unusable_secret_is_a_matter_of_configuration(tmp_path, content):
    secret = tmp_path / "secret"
    secret.write_text(content)
    with pytest.raises(ConfigError, match="secret_file") as error:
        Webhook("http://host.example/", observer=OBSERVER, secret_file=str(secret))
    assert "!!!" not in str(error.value)
