"""tcpdump on the mirror port, from a known first packet to a known last one."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.network import Host, wait_until


@dataclass
class Recording:
    """Write what arrives at an interface to a pcap file. Use as a context manager.

    After it is left, `captured` and `dropped` hold what tcpdump reported.
    """

    host: Host
    path: Path
    interface: str = "span0"
    snaplen: int = 262144
    expression: str = ""
    captured: int = -1
    dropped: int = -1
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def _log(self) -> Path:
        return self.path.with_name(self.path.name + ".log")

    def __enter__(self) -> Self:
        self._log.write_bytes(b"")
        self._process = self.host.start(
            *("tcpdump", "-i", self.interface, "-w", str(self.path), "-s", str(self.snaplen)),
            *("-n", "-U", "-Z", "root", "-B", "65536"),  # -B is in KiB: a 64 MiB ring
            *([self.expression] if self.expression else []),
            log=self._log,
        )
        wait_until(self._listens)
        return self

    def _listens(self) -> bool:
        text = self._log.read_text()
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"tcpdump ended: {text}")
        return "listening on" in text

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Let the ring's last block out (its timeout is 1 s), then end tcpdump and read its counts."""
        if self._process is None:
            return
        time.sleep(1.5)
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=10)
        self.host.processes.remove(self._process)
        self._process = None
        text = self._log.read_text()
        self.captured = _count(text, "captured")
        self.dropped = _count(text, "dropped by kernel")
        self._log.unlink()


def _count(text: str, words: str) -> int:
    found = re.search(rf"(\d+) packets? {words}", text)
    return int(found.group(1)) if found else -1
