"""Words to the service manager: sd_notify(3), in its own few lines.

Outside systemd, where ``NOTIFY_SOCKET`` is not set, nothing is sent.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


class Notifier:
    """The datagram socket of the service manager.

    Parameters
    ----------
    environment
        Where ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` are looked up.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_secs = _watchdog_secs(environment)

    def send(self, **states: str | int) -> bool:
        """Send ``KEY=value`` lines, such as ``READY=1``; return whether anybody listens.

        A manager that went away must not stop the capture, so a failed send
        is only reported to the caller.
        """
        if not self._address:
            return False
        message = "\n".join(f"{key}={value}" for key, value in states.items())
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.setblocking(False)
                channel.sendto(message.encode(), self._address)
        except OSError:
            return False
        return True


def _watchdog_secs(environment: Mapping[str, str]) -> float:
    """Return how often systemd wants to hear from us at least, in seconds; 0 for never."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    text = environment.get("WATCHDOG_USEC", "0")
    return int(text) / 1e6 if text.isdecimal() else 0.0
