"""Packets to archived flow records, without features or models: what `sensor flows` runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict

from sensor.archive.writer import FlowWriter
from sensor.flow.meter import Meter
from sensor.packet.decode import Decoder
from sensor.settings import FlowSettings
from sensor.sources.source import Source

#: Rows the decoder starts with; sources' usual batch.
_BATCH_ROWS = 16_384


class FlowExport:
    """A source, a decoder and a flow table in front of a writer.

    Parameters
    ----------
    source
        Where packets come from.
    settings
        Size and timeouts of the flow table.
    key
        128-bit key of the table's hash, as two words.
    """

    def __init__(self, source: Source, settings: FlowSettings, key: tuple[int, int]) -> None:
        self.source = source
        self.packets = 0
        self._decoder = Decoder(_BATCH_ROWS)
        self._meter = Meter(**asdict(settings), key=key)

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
            for observation in self._meter.observe(self._decoder.decode(batch), batch.data):
                writer.write(observation.flows)
            for flows in self._meter.advance(batch.now):
                writer.write(flows)
            if not after_batch():
                self.source.close()
        for flows in self._meter.flush():
            writer.write(flows)

    def counters(self) -> dict[str, Mapping[str, int]]:
        """Return what source, decoder and meter counted."""
        return {
            "source": self.source.counters(),
            "packet": self._decoder.counters(),
            "flow": self._meter.counters(),
        }
