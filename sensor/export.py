"""Packets to archived flow records, without features or models: what `sensor flows` runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from sensor.archive.writer import FlowWriter
from sensor.metering import Metering, Observed, Part
from sensor.settings import EngineSettings
from sensor.sources.source import Source


class FlowExport:
    """A source and the engine's metering in front of a writer.

    Parameters
    ----------
    source
        Where packets come from.
    settings
        What decides which flows there are.
    key
        128-bit key of the table's hash, as two words.
    """

    def __init__(self, source: Source, settings: EngineSettings, key: tuple[int, int]) -> None:
        self.source = source
        self.packets = 0
        self._metering = Metering(settings, key, claims=True)

    def run(self, writer: FlowWriter, after_batch: Callable[[], bool]) -> None:
        """Write the flows of the whole source; close it early when `after_batch` returns False.

        Raises
        ------
        CaptureError
            The source gave nothing that could be read.
        OSError
            A record cannot be written.
        """
        for batch in self.source:
            self.packets += len(batch.frames)
            _write(writer, self._metering.take(batch))
            if not after_batch():
                self.source.close()
        _write(writer, self._metering.flush())

    def counters(self) -> dict[str, Mapping[str, int]]:
        """Return what source, decoder and meter counted."""
        return {"source": self.source.counters(), **self._metering.counters()}


def _write(writer: FlowWriter, parts: Iterable[Part]) -> None:
    for part in parts:
        if isinstance(part, Observed) and len(part.flows):
            writer.write(part.flows, part.claims)
