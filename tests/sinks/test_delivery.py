from __future__ import annotations

import json
import logging
import threading
import time

import pytest
from alert_examples import OBSERVER, PORT_SCAN, numbered
from hypothesis import given, settings
from hypothesis import strategies as st
from receivers import LOOPBACK, RSYSLOGD, Answer, HttpReceiver, Rsyslog, wait_until

from sensor.errors import DeliveryError
from sensor.sinks import delivery as delivery_module
from sensor.sinks.delivery import Delivery
from sensor.sinks.jsonl import Jsonl
from sensor.sinks.syslog import Syslog
from sensor.sinks.webhook import Webhook

QUICK = {"retry_base_secs": 0.001, "retry_cap_secs": 0.005}


class Scripted:
    """A sink that does what its script says, then takes everything."""

    name = "scripted"

    def __init__(self, script=()):
        self.script = list(script)
        self.taken = []
        self.attempts = 0
        self.closed = 0
        self.open_gate = threading.Event()
        self.open_gate.set()

    def send(self, alert):
        self.attempts += 1
        assert self.open_gate.wait(10)
        step = self.script.pop(0) if self.script else None
        if isinstance(step, BaseException):
            raise step
        self.taken.append(alert)

    def close(self):
        self.closed += 1


def later(**more):
    return DeliveryError("later", retry=True, **more)


def never():
    return DeliveryError("never", retry=False)


def total(counters):
    names = ("queued", "sent", "rejected", "gave_up", "dropped_queue_full", "abandoned_at_close")
    return sum(counters[name] for name in names)


def test_alerts_keep_their_order_through_failures():
    sink = Scripted([None, later(), later(), None, later()])
    delivery = Delivery(sink, **QUICK)
    sent = numbered(50)
    for alert in sent:
        delivery.put(alert)
    delivery.close()
    assert sink.taken == sent
    counters = delivery.counters()
    assert (counters["sent"], counters["retried"], counters["queued"]) == (50, 3, 0)
    assert counters["last_error"] == "later"
    assert sink.closed == 1
    assert delivery.healthy


def test_an_alert_that_nobody_wants_does_not_hold_up_the_next(caplog):
    sink = Scripted([never(), None, never()])
    delivery = Delivery(sink, **QUICK)
    sent = numbered(4)
    for alert in sent:
        delivery.put(alert)
    with caplog.at_level(logging.WARNING):
        delivery.close()
    assert sink.taken == [sent[1], sent[3]]
    assert delivery.counters()["rejected"] == 2
    assert [r.getMessage() for r in caplog.records].count("scripted: alert 'alert-0002' rejected: never") == 1


def test_a_full_queue_drops_the_newest_and_put_returns_at_once():
    sink = Scripted()
    sink.open_gate.clear()
    delivery = Delivery(sink, queue_alerts=5, **QUICK)
    sent = numbered(12)
    for alert in sent:
        delivery.put(alert)
    assert delivery.counters()["queued"] == 5
    assert delivery.counters()["dropped_queue_full"] == 7
    sink.open_gate.set()
    delivery.close()
    assert sink.taken == sent[:5]
    assert total(delivery.counters()) == 12


def test_a_replay_loses_nothing_to_a_small_queue():
    sink = Scripted()
    delivery = Delivery(sink, queue_alerts=2, when_full="block", **QUICK)
    sent = numbered(500)
    for alert in sent:
        delivery.put(alert)
        assert delivery.counters()["queued"] <= 2
    delivery.close()
    assert sink.taken == sent


def test_what_is_too_old_is_given_up_after_one_more_attempt():
    sink = Scripted([later() for _ in range(3)])
    delivery = Delivery(sink, give_up_secs=1e-9, **QUICK)
    for alert in numbered(4):
        delivery.put(alert)
    delivery.close()
    assert delivery.counters()["gave_up"] == 3
    assert delivery.counters()["sent"] == 1
    assert sink.attempts == 4


def test_the_receivers_wish_is_obeyed():
    sink = Scripted([later(retry_after_secs=0.2)])
    delivery = Delivery(sink, **QUICK)
    started = time.monotonic()
    delivery.put(PORT_SCAN)
    assert wait_until(lambda: sink.taken)
    assert time.monotonic() - started >= 0.2
    delivery.close()


def test_closing_ends_a_long_pause_and_tries_once_more():
    sink = Scripted([later(retry_after_secs=3000.0)])
    delivery = Delivery(sink, drain_secs=5.0)
    delivery.put(PORT_SCAN)
    delivery.put(PORT_SCAN)
    assert wait_until(lambda: sink.attempts == 1)
    delivery.close()
    assert sink.taken == [PORT_SCAN] * 2
    assert delivery.counters()["abandoned_at_close"] == 0


def test_closing_gives_up_at_its_limit_and_counts_the_rest():
    sink = Scripted(later() for _ in range(100_000))
    delivery = Delivery(sink, **QUICK)
    for alert in numbered(7):
        delivery.put(alert)
    delivery.close(0.1)
    delivery.close(0.1)
    counters = delivery.counters()
    assert counters["abandoned_at_close"] == 7
    assert counters["queued"] == 0
    assert sink.closed == 1
    delivery.put(PORT_SCAN)
    assert delivery.counters()["abandoned_at_close"] == 8


def test_closing_leaves_a_send_that_does_not_return_behind(monkeypatch):
    monkeypatch.setattr(delivery_module, "_GRACE_SECS", 0.05)
    sink = Scripted()
    sink.open_gate.clear()
    delivery = Delivery(sink, **QUICK)
    for alert in numbered(3):
        delivery.put(alert)
    assert wait_until(lambda: sink.attempts == 1)
    delivery.close(0.05)
    assert delivery.counters()["abandoned_at_close"] == 3
    sink.open_gate.set()
    assert wait_until(lambda: sink.closed)
    assert delivery.counters()["sent"] == 0
    assert total(delivery.counters()) == 3


@pytest.mark.parametrize("when_full", ["drop", "block"])
def test_a_thread_that_died_is_seen_and_holds_nobody(when_full):
    sink = Scripted([None, RuntimeError("a defect")])
    delivery = Delivery(sink, queue_alerts=2, when_full=when_full, **QUICK)
    for alert in numbered(10):
        delivery.put(alert)
    assert wait_until(lambda: not delivery.healthy)
    for alert in numbered(10):
        delivery.put(alert)
    delivery.close()
    counters = delivery.counters()
    assert counters["last_error"] == "RuntimeError: a defect"
    assert counters["sent"] == 1
    assert total(counters) == 20
    assert sink.closed == 1


def test_closing_frees_who_waits_for_room():
    sink = Scripted(later() for _ in range(100_000))
    delivery = Delivery(sink, queue_alerts=1, when_full="block", **QUICK)
    producer = threading.Thread(target=lambda: [delivery.put(alert) for alert in numbered(3)])
    producer.start()
    assert wait_until(lambda: sink.attempts > 1)
    delivery.close(0.05)
    producer.join(5)
    assert not producer.is_alive()
    assert delivery.counters()["abandoned_at_close"] == 3


def test_a_disk_that_refuses_at_the_end_is_not_hidden():
    class Refusing(Scripted):
        def close(self):
            raise OSError(5, "Input/output error")

    delivery = Delivery(Refusing(), **QUICK)
    delivery.put(PORT_SCAN)
    delivery.close()
    assert delivery.counters()["last_error"] == "closing: Input/output error"


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["sent", "later", "never"]), max_size=30),
    st.integers(0, 20),
    st.integers(1, 8),
    st.sampled_from(["drop", "block"]),
)
def test_every_alert_is_in_one_counter(script, alerts, room, when_full):
    steps = {"sent": lambda: None, "later": later, "never": never}
    sink = Scripted(steps[name]() for name in script)
    delivery = Delivery(
        sink, queue_alerts=room, when_full=when_full, retry_base_secs=1e-6, retry_cap_secs=1e-6
    )
    for alert in numbered(alerts):
        delivery.put(alert)
    delivery.close(5.0)
    counters = delivery.counters()
    assert total(counters) == alerts
    assert counters["sent"] == len(sink.taken)
    assert sink.attempts == counters["sent"] + counters["rejected"] + counters["retried"]
    ids = [alert.id for alert in sink.taken]
    assert ids == sorted(ids)
    if when_full == "block":
        assert counters["dropped_queue_full"] == 0


# ---------------------------------------------------------------- with real receivers


def test_a_webhook_that_is_unwell_gets_every_alert_once_and_in_order():
    with HttpReceiver() as receiver:
        receiver.answers.extend(
            [Answer(503), Answer(429, {"Retry-After": "0"}), Answer(reset=True), Answer(200), Answer(404)]
        )
        delivery = Delivery(Webhook(receiver.url, observer=OBSERVER), **QUICK)
        for alert in numbered(6):
            delivery.put(alert)
        delivery.close()
        tried = [request.headers["webhook-id"] for request in receiver.requests]
    assert tried == ["alert-0000"] * 4 + [f"alert-{number:04d}" for number in range(1, 6)]
    counters = delivery.counters()
    assert (counters["sent"], counters["rejected"], counters["retried"]) == (5, 1, 3)
    assert "404" in counters["last_error"]


@pytest.mark.skipif(RSYSLOGD is None, reason="rsyslogd is not installed")
def test_alerts_wait_while_syslog_is_away(tmp_path):
    sent = numbered(40)
    with Rsyslog(tmp_path, "tcp") as receiver:
        sink = Syslog(LOOPBACK, port=receiver.port, transport="tcp", observer=OBSERVER)
        delivery = Delivery(sink, retry_base_secs=0.05, retry_cap_secs=0.05)
        for alert in sent[:20]:
            delivery.put(alert)
        assert len(receiver.messages(20)) == 20
        receiver.stop()
        for alert in sent[20:]:
            delivery.put(alert)
        assert wait_until(lambda: delivery.counters()["retried"] >= 2)
        receiver.start()
        delivery.close()
        messages = receiver.messages(40)
    assert [message["data"]["sensor@32473"]["id"] for message in messages] == [alert.id for alert in sent]
    assert delivery.counters()["sent"] == 40


def test_a_file_gets_everything_that_a_replay_puts(tmp_path):
    path = tmp_path / "alerts.jsonl"
    delivery = Delivery(Jsonl(str(path), observer=OBSERVER), queue_alerts=10, when_full="block", **QUICK)
    sent = numbered(1000)
    for alert in sent:
        delivery.put(alert)
    delivery.close()
    assert [json.loads(line)["event"]["id"] for line in path.read_bytes().splitlines()] == [
        a.id for a in sent
    ]
