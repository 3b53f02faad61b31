from __future__ import annotations

import json
import socket
from dataclasses import replace

import pytest
from alert_examples import OBSERVER, PORT_SCAN, numbered
from certificates import server_context
from receivers import LOOPBACK, RSYSLOGD, Rsyslog, free_port, wait_until
from stream_receiver import StreamReceiver, octet_counted

from sensor.alert.alert import Severity
from sensor.errors import ConfigError, DeliveryError
from sensor.formats import ecs, rfc5424
from sensor.formats.canonical import utc
from sensor.sinks.syslog import Syslog

needs_rsyslog = pytest.mark.skipif(RSYSLOGD is None, reason="rsyslogd is not installed")
_CODE = {Severity.CRITICAL: 2, Severity.HIGH: 3, Severity.MEDIUM: 4, Severity.LOW: 5}


def syslog(port, transport, **settings):
    settings.setdefault("host", "localhost" if transport == "tls" else LOOPBACK)
    return Syslog(port=port, transport=transport, observer=OBSERVER, timeout_secs=3.0, **settings)


def send_all(sink, sent):
    try:
        for alert in sent:
            sink.send(alert)
    finally:
        sink.close()


def assert_arrived(messages, sent, max_bytes):
    assert len(messages) == len(sent)
    by_id = {message["data"]["sensor@32473"]["id"]: message for message in messages}
    for alert in sent:
        message = by_id[alert.id]
        data = message["data"]["sensor@32473"]
        assert message["pri"] == str(16 * 8 + _CODE[alert.severity])
        assert message["time"] == utc(alert.time)
        assert message["host"] == OBSERVER.name
        assert message["app"] == "span-sensor"
        assert message["msgid"] == alert.kind.id
        assert data["source"] == alert.source.ip
        assert data["severity"] == alert.severity.name.lower()
        assert data["incident"] == alert.incident.id
        expected = rfc5424.render_ecs(alert, OBSERVER, max_bytes, pid=int(message["pid"]))
        assert message["body"].encode() == expected.partition(b"] ")[2]
        assert json.loads(message["body"])["event"]["id"] == alert.id


# ---------------------------------------------------------------- a real receiver


@needs_rsyslog
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_every_alert_reaches_rsyslog(tmp_path, transport):
    sent = numbered(100)
    with Rsyslog(tmp_path, transport) as receiver:
        sink = syslog(receiver.port, transport)
        for start in range(0, len(sent), 20):  # datagrams beyond a socket's buffer are lost, by design
            for alert in sent[start : start + 20]:
                sink.send(alert)
            receiver.messages(start + 20)
        sink.close()
        assert_arrived(receiver.messages(len(sent)), sent, 2048 if transport == "udp" else 8192)


@needs_rsyslog
def test_every_alert_reaches_rsyslog_by_tls(tmp_path, authority, server_certificate, client_certificate):
    sent = numbered(50)
    with Rsyslog(
        tmp_path, "tls", server_certificate, authority.cert, clients_need_certificate=True
    ) as receiver:
        send_all(
            syslog(
                receiver.port,
                "tls",
                ca_file=authority.cert,
                client_cert_file=client_certificate.cert,
                client_key_file=client_certificate.key,
            ),
            sent,
        )
        assert_arrived(receiver.messages(len(sent)), sent, 8192)


@needs_rsyslog
def test_names_from_the_network_survive_rsyslog(tmp_path):
    hostile = 'x"]\\ \r\n<13>1 - - - - - forged \u2028 \udcff'
    alert = replace(PORT_SCAN, id='a"]\\b', message=hostile, entity=hostile)
    with Rsyslog(tmp_path, "tcp") as receiver:
        send_all(syslog(receiver.port, "tcp"), [alert, PORT_SCAN])
        messages = receiver.messages(2)
    assert len(messages) == 2
    assert messages[0]["data"]["sensor@32473"]["id"] == 'a"]\\b'
    assert json.loads(messages[0]["body"])["message"] == (
        'x"]\\ \\x0d\\x0a<13>1 - - - - - forged \\xe2\\x80\\xa8 \\xff'
    )


@needs_rsyslog
@pytest.mark.parametrize("wrong", ["authority", "name", "date"])
def test_a_wrong_certificate_is_refused(  # noqa: PLR0917  (fixtures)
    tmp_path,
    authority,
    stranger,
    server_certificate,
    expired_certificate,
    foreign_name_certificate,
    wrong,
):
    certificate = {
        "authority": server_certificate,
        "name": foreign_name_certificate,
        "date": expired_certificate,
    }[wrong]
    trusted = stranger.cert if wrong == "authority" else authority.cert
    with Rsyslog(tmp_path, "tls", certificate, authority.cert) as receiver:
        sink = syslog(receiver.port, "tls", ca_file=trusted)
        with pytest.raises(DeliveryError, match="certificate verify failed") as refused:
            sink.send(PORT_SCAN)
        sink.close()
        assert refused.value.retry
        assert receiver.messages() == []


@needs_rsyslog
def test_a_receiver_that_refuses_our_certificate_is_noticed(
    tmp_path, authority, stranger, server_certificate
):
    """TLS 1.3 lets a client write before it hears that it is not welcome."""
    ours = stranger.issue()
    with Rsyslog(
        tmp_path, "tls", server_certificate, authority.cert, clients_need_certificate=True
    ) as receiver:
        for certificate in ({}, {"client_cert_file": ours.cert, "client_key_file": ours.key}):
            sink = syslog(receiver.port, "tls", ca_file=authority.cert, **certificate)
            with pytest.raises(DeliveryError) as refused:
                sink.send(PORT_SCAN)
            assert refused.value.retry
            sink.close()
        assert receiver.messages() == []


@needs_rsyslog
def test_a_restarted_receiver_gets_the_next_alert(tmp_path):
    first, second, third = numbered(3)
    with Rsyslog(tmp_path, "tcp") as receiver:
        sink = syslog(receiver.port, "tcp")
        sink.send(first)
        assert len(receiver.messages(1)) == 1
        receiver.stop()
        with pytest.raises(DeliveryError, match="refused") as gone:
            sink.send(second)
        assert gone.value.retry
        receiver.start()
        sink.send(second)
        sink.send(third)
        sink.close()
        assert_arrived(receiver.messages(3), [first, second, third], 8192)


# ---------------------------------------------------------------- the stream itself


@pytest.mark.parametrize("secure", [False, True])
def test_a_half_closed_connection_is_noticed_before_sending(authority, server_certificate, secure):
    context = server_context(server_certificate) if secure else None
    settings = {"ca_file": authority.cert} if secure else {}
    first, second = numbered(2)
    with StreamReceiver(context) as receiver:
        sink = syslog(receiver.port, "tls" if secure else "tcp", **settings)
        sink.send(first)
        assert wait_until(lambda: receiver.received and receiver.received[0])
        receiver.hang_up()
        sink.send(second)
        sink.close()
        assert wait_until(lambda: len(receiver.received) == 2 and receiver.received[1])
        frames = [list(octet_counted(bytes(connection))) for connection in receiver.received]
    assert [len(connection) for connection in frames] == [1, 1]
    assert b'id="alert-0001"' in frames[1][0]


def test_frames_are_counted_and_what_the_receiver_says_is_ignored():
    sent = numbered(20)
    with StreamReceiver() as receiver:
        sink = syslog(receiver.port, "tcp")
        for alert in sent:
            sink.send(alert)
            assert wait_until(lambda: receiver.received)
            receiver.say(b"220 hello\r\n" * 10)
        sink.close()
        assert wait_until(lambda: bytes(receiver.received[0]).count(b"<1") == len(sent))
        frames = list(octet_counted(bytes(receiver.received[0])))
    assert len(receiver.received) == 1
    assert [frame.partition(b"] ")[2] for frame in frames] == [ecs.render(a, OBSERVER) for a in sent]


def test_nobody_listening_can_be_retried():
    for transport in ("tcp", "tls"):
        sink = syslog(free_port(), transport)
        with pytest.raises(DeliveryError, match="refused") as failed:
            sink.send(PORT_SCAN)
        assert failed.value.retry
        sink.close()


def test_udp_tells_that_nobody_listens_at_the_next_alert():
    sink = syslog(free_port(socket.SOCK_DGRAM), "udp")
    sink.send(PORT_SCAN)
    with pytest.raises(DeliveryError, match="refused"):
        sink.send(PORT_SCAN)
    sink.close()


def test_a_name_that_does_not_exist_can_be_retried():
    with pytest.raises(DeliveryError) as failed:
        syslog(514, "tcp", host="no-such-host.invalid").send(PORT_SCAN)
    assert failed.value.retry


def test_a_receiver_that_does_not_speak_tls_is_an_error_that_can_be_retried(authority):
    with StreamReceiver() as receiver:
        sink = Syslog(
            "localhost",
            port=receiver.port,
            transport="tls",
            ca_file=authority.cert,
            observer=OBSERVER,
            timeout_secs=0.2,
        )
        with pytest.raises(DeliveryError, match="timed out") as failed:
            sink.send(PORT_SCAN)
        assert failed.value.retry


def test_a_datagram_keeps_within_its_size():
    long = replace(PORT_SCAN, next_step="n" * 1000, message="m" * 1000)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind((LOOPBACK, 0))
        receiver.settimeout(5)
        sink = syslog(receiver.getsockname()[1], "udp")
        sink.send(long)
        sink.close()
        message = receiver.recv(65_536)
    assert len(message) <= 2048
    assert json.loads(message.partition(b"] ")[2])["tags"] == ["shortened"]


def test_missing_certificate_files_are_a_matter_of_configuration(tmp_path, authority):
    with pytest.raises(ConfigError, match="ca_file"):
        syslog(6514, "tls", ca_file=str(tmp_path / "absent.pem"))
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("no certificate")
    with pytest.raises(ConfigError):
        syslog(6514, "tls", ca_file=str(garbage))
    with pytest.raises(ConfigError):
        syslog(6514, "tls", ca_file=authority.cert, client_cert_file=str(garbage))
