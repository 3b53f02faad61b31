"""Every kind of sink, by the `type` that the configuration calls it.

A new destination is one module, one line here and one model in `settings`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sensor.sinks.jsonl import Jsonl
from sensor.sinks.sink import Sink
from sensor.sinks.syslog import Syslog
from sensor.sinks.table import Table
from sensor.sinks.webhook import Webhook

SINKS: Mapping[str, Callable[..., Sink]] = {
    "jsonl": Jsonl,
    "webhook": Webhook,
    "syslog": Syslog,
    "table": Table,
}
