"""Every kind of sink, by the `type` that the configuration calls it.

A new destination is one module, one line here and one model in `settings`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping

from sensor.sinks.sink import Sink

#: Module and class of each.
_PLACES = {
    "jsonl": ("sensor.sinks.jsonl", "Jsonl"),
    "webhook": ("sensor.sinks.webhook", "Webhook"),
    "syslog": ("sensor.sinks.syslog", "Syslog"),
    "table": ("sensor.sinks.table", "Table"),
}


class Shelf(Mapping[str, Callable[..., Sink]]):
    """Sink classes by type, imported when they are taken: most need what others do without."""

    def __getitem__(self, kind: str) -> Callable[..., Sink]:
        module, name = _PLACES[kind]
        sink: Callable[..., Sink] = getattr(importlib.import_module(module), name)
        return sink

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)


SINKS = Shelf()
