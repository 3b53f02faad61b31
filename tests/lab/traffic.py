"""What people and devices of a small office do all day, as one loop a role.

Run as ``python -m lab.traffic ROLE SECONDS SEED FOLDER`` inside a namespace. Every
pause is drawn from the seed; loops end at the deadline. Real programs (curl,
ssh, ping) make the packets where there is one, so that handshakes and timers
are theirs.
"""

from __future__ import annotations

import random
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

#: Web sites behind the gateway, most popular first.
SITES = (
    "news",
    "search",
    "mail",
    "docs",
    "shop",
    "video",
    "weather",
    "maps",
    "code",
    "travel",
    "bank",
    "forum",
)
SERVER, NAS, GATEWAY, PRINTER = "10.20.0.10", "10.20.0.11", "10.20.0.1", "10.20.0.50"
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36",
)


class Clock:
    """Gives a role its turns: `pauses` sleeps between them and stops at the deadline."""

    def __init__(self, seconds: float, rng: random.Random) -> None:
        self._end = time.monotonic() + seconds
        self.rng = rng

    def left(self) -> float:
        return self._end - time.monotonic()

    def every(self, secs: float, jitter: float = 0.02) -> Iterator[None]:
        """Yield at regular intervals, as programs do: period `secs`, uniform relative jitter."""
        time.sleep(min(self.rng.uniform(0, secs), max(self.left(), 0)))
        while self.left() > 0:
            yield
            time.sleep(min(secs * (1 + self.rng.uniform(-jitter, jitter)), max(self.left(), 0)))

    def at_random(self, mean_secs: float) -> Iterator[None]:
        """Yield after exponential pauses, as people do (at least half a second)."""
        while True:
            time.sleep(min(0.5 + self.rng.expovariate(1 / mean_secs), max(self.left(), 0)))
            if self.left() <= 0:
                return
            yield


def _quiet(*argv: str, timeout: float = 60) -> None:
    """Run a client program; what it says and whether it succeeds does not matter here."""
    try:
        subprocess.run(argv, capture_output=True, check=False, timeout=timeout, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        print("timed out:", *argv, file=sys.stderr)  # noqa: T201  (the role's log)


def _curl(*argv: str) -> None:
    _quiet("curl", "-s", "-k", "-m", "30", "-o", "/dev/null", *argv)


def browse(clock: Clock, _: Path) -> None:
    """Visit sites of uneven popularity; each page needs several objects over one connection."""
    rng = clock.rng
    agent = rng.choice(_AGENTS)
    weights = [1 / (rank + 1) for rank in range(len(SITES))]
    for _turn in clock.at_random(22):
        site = rng.choices(SITES, weights)[0]
        scheme = "http" if rng.random() < 0.15 else "https"
        paths = ["index.html", *(f"{rng.randrange(40)}.bin" for _ in range(rng.randint(0, 4)))]
        urls = [f"{scheme}://www.{site}.example/{path}" for path in paths]
        _curl("-A", agent, *(part for url in urls for part in (url, "-o", "/dev/null")))
        if rng.random() < 0.04:  # a mistyped name
            _curl(f"https://www.{site}{rng.choice('xyz')}.example/")


def mail(clock: Clock, _: Path) -> None:
    """A mail program that asks its server every two minutes."""
    for _turn in clock.every(120):
        _curl("https://www.mail.example/0.bin")


def intranet(clock: Clock, _: Path) -> None:
    """Pages of the office's own server, now and then an upload."""
    for _turn in clock.at_random(45):
        _curl(f"http://intranet.lan/{clock.rng.randrange(40)}.bin")
        if clock.rng.random() < 0.1:
            _curl("--data-binary", "x" * clock.rng.randint(500, 20_000), "http://intranet.lan/upload")


def poll_api(clock: Clock, _: Path) -> None:
    """A dashboard that polls an interface every 20 seconds: regular, and innocent."""
    for _turn in clock.every(20):
        _curl("http://intranet.lan/api/status")


def administer(clock: Clock, folder: Path) -> None:
    """SSH sessions of some commands each, typed by somebody who reads the answers."""
    for _turn in clock.at_random(150):
        commands = [f"sleep {clock.rng.uniform(0.5, 6):.1f}; ls -l /etc | head -{clock.rng.randint(5, 60)}"]
        commands *= clock.rng.randint(2, 6)
        _ssh(folder, clock.rng.choice((SERVER, NAS)), "; ".join(commands))


def _ssh(folder: Path, host: str, command: str, *, stdin: bytes = b"") -> None:
    argv = ("ssh", "-n") if not stdin else ("ssh",)
    options = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes")
    full = (*argv, "-F", "none", "-i", str(folder / "id_ed25519"), *options, f"root@{host}", command)
    done = subprocess.run(full, input=stdin or None, capture_output=True, check=False, timeout=120)
    if done.returncode:
        print(f"ssh {host}: {done.stderr.decode()}", file=sys.stderr)  # noqa: T201  (the role's log)


def backup(clock: Clock, folder: Path) -> None:
    """The server copies a changed file to the store every ten minutes."""
    for _turn in clock.every(600):
        _ssh(folder, NAS, "cat > /dev/null", stdin=clock.rng.randbytes(clock.rng.randint(400_000, 900_000)))


def watch(clock: Clock, _: Path) -> None:
    """A monitor that pings what it looks after once a minute."""
    for _turn in clock.every(60):
        for host in (GATEWAY, SERVER, NAS, PRINTER):
            _quiet("ping", "-c", "2", "-i", "0.5", host, timeout=10)


def keep_time(clock: Clock, _: Path) -> None:
    """NTP client mode every 64 s (RFC 5905, poll exponent 6)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        for _turn in clock.every(64):
            sock.sendto(b"\x23\x00\x06\xec" + bytes(36) + struct.pack("!Q", time.time_ns()), (GATEWAY, 123))
            try:
                sock.recv(128)
            except TimeoutError:
                print("no NTP answer", file=sys.stderr)  # noqa: T201  (the role's log)


def sense(clock: Clock, _: Path) -> None:
    """A device that publishes a reading over MQTT (QoS 1) every 15 s and keeps its connection."""
    name = f"sensor{clock.rng.randrange(100):02d}".encode()
    with socket.create_connection((SERVER, 1883), 10) as sock:
        body = b"\x00\x04MQTT\x04\x02\x00\x3c" + struct.pack("!H", len(name)) + name
        sock.sendall(bytes([0x10, len(body)]) + body)
        sock.recv(4)
        for turn, _turn in enumerate(clock.every(15)):
            topic = b"site/" + name + b"/temperature"
            reading = f"{21 + clock.rng.gauss(0, 0.4):.2f}".encode()
            body = struct.pack("!H", len(topic)) + topic + struct.pack("!H", turn % 65535 + 1) + reading
            sock.sendall(bytes([0x32, len(body)]) + body)
            sock.recv(4)
        sock.sendall(b"\xe0\x00")


def announce(clock: Clock, _: Path) -> None:
    """SSDP searches and mDNS questions, as desktops send them unasked."""
    search = b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\n'
    search += b"MX: 1\r\nST: ssdp:all\r\n\r\n"
    question = b"\0\0\0\0\0\1\0\0\0\0\0\0\x04_ipp\x04_tcp\x05local\0\0\x0c\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 4)
        for _turn in clock.every(120, jitter=0.2):
            sock.sendto(search, ("239.255.255.250", 1900))
            sock.sendto(question, ("224.0.0.251", 5353))


def print_pages(clock: Clock, _: Path) -> None:
    """A print job on the raw port now and then."""
    for _turn in clock.at_random(420):
        with socket.create_connection((PRINTER, 9100), 10) as sock:
            sock.sendall(clock.rng.randbytes(clock.rng.randint(10_000, 120_000)))


ROLES: dict[str, Callable[[Clock, Path], None]] = {
    role.__name__: role
    for role in (
        *(browse, mail, intranet, poll_api, administer, backup),
        *(watch, keep_time, sense, announce, print_pages),
    )
}


def main() -> None:
    role, seconds, seed, folder = sys.argv[1:5]
    ROLES[role](Clock(float(seconds), random.Random(int(seed))), Path(folder))


if __name__ == "__main__":
    main()
