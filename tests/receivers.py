"""Real receivers of alerts on loopback: an HTTP(S) server and rsyslogd."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from certificates import Certificate

LOOPBACK = "127.0.0.1"


def wait_until(condition: Callable[[], Any], secs: float = 10.0) -> bool:
    """Look every few milliseconds whether `condition` holds; False when it never did."""
    deadline = time.monotonic() + secs
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


# ------------------------------------------------------------------ HTTP


@dataclass
class Answer:
    """What the server does with one request."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    wait_secs: float = 0.0  # before answering
    drip_secs: float = 0.0  # between the body's bytes
    reset: bool = False  # break the connection instead of answering
    chunked: bool = False


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: bytes
    peer: tuple[str, int]


class HttpReceiver:
    """An HTTP(S) server that answers as told, 200 when not told, and keeps what it got."""

    def __init__(self, tls: ssl.SSLContext | None = None, address: str = LOOPBACK) -> None:
        self.answers: deque[Answer] = deque()
        self.requests: list[Request] = []
        self.stopped = threading.Event()
        handler = type("Handler", (_Handler,), {"receiver": self})
        self._server = ThreadingHTTPServer((address, 0), handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that left
        if tls is not None:
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "https" if tls else "http"
        self.port = self._server.server_address[1]
        self.url = f"{scheme}://{address}:{self.port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def note(self, request: Request) -> Answer:
        """Keep `request` and return what to do with it."""
        self.requests.append(request)
        answer = self.answers.popleft() if self.answers else Answer()
        self.stopped.wait(answer.wait_secs)
        return answer


class _Handler(BaseHTTPRequestHandler):
    """Answers as its server's `HttpReceiver` says."""

    protocol_version = "HTTP/1.1"
    timeout = 10
    receiver: HttpReceiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.receiver.note(Request(self.path, dict(self.headers), body, self.client_address))
        if answer.reset:
            self._reset()
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif answer.status != 204:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self._write(answer)

    def _write(self, answer: Answer) -> None:
        if answer.drip_secs:
            for byte in answer.body:
                self.wfile.write(bytes([byte]))
                if self.receiver.stopped.wait(answer.drip_secs):
                    return
        elif answer.chunked:
            self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(answer.body), answer.body))
        else:
            self.wfile.write(answer.body)

    def _reset(self) -> None:
        linger = struct.pack("ii", 1, 0)  # close with RST
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


# ------------------------------------------------------------------ syslog

RSYSLOGD = shutil.which("rsyslogd") or next((p for p in ["/usr/sbin/rsyslogd"] if Path(p).exists()), None)

_CONFIG = """
global(workDirectory="{folder}" maxMessageSize="64k" {tls_files})
{modules}
template(name="fields" type="list" option.jsonf="on") {{
  property(outname="pri" name="pri" format="jsonf")
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="pid" name="procid" format="jsonf")
  property(outname="msgid" name="msgid" format="jsonf")
  property(outname="data" name="$!rfc5424-sd" format="jsonf")
  property(outname="structured" name="structured-data" format="jsonf")
  property(outname="body" name="msg" format="jsonf")
}}
module(load="mmpstrucdata")
ruleset(name="keep") {{
  action(type="mmpstrucdata")
  action(type="omfile" file="{output}" template="fields")
}}
{input}
"""


class Rsyslog:
    """rsyslogd with a configuration of its own, in the foreground, on one loopback port.

    Parameters
    ----------
    folder
        Where its files go.
    transport
        ``udp``, ``tcp`` or ``tls``.
    certificate, ca
        For TLS: the server's certificate, and whose client certificates it takes.
    clients_need_certificate
        Whether a client without a certificate is sent away.
    """

    def __init__(
        self,
        folder: Path,
        transport: str,
        certificate: Certificate | None = None,
        ca: str = "",
        *,
        clients_need_certificate: bool = False,
    ) -> None:
        self._folder = folder
        self._transport = transport
        self._output = folder / "messages.jsonl"
        self._config = folder / "rsyslog.conf"
        self.port = free_port(socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM)
        folder.mkdir(parents=True, exist_ok=True)
        tls_files = ""
        module = f'module(load="im{"udp" if transport == "udp" else "tcp"}")'
        if certificate:
            mode = "x509/certvalid" if clients_need_certificate else "anon"
            tls_files = (
                f'defaultNetstreamDriverCAFile="{ca}" defaultNetstreamDriverCertFile="{certificate.cert}"'
                f' defaultNetstreamDriverKeyFile="{certificate.key}"'
            )
            module = (
                'module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1"'
                f' streamDriver.authMode="{mode}")'
            )
        kind = "imudp" if transport == "udp" else "imtcp"
        self._config.write_text(
            _CONFIG.format(
                folder=folder,
                output=self._output,
                tls_files=tls_files,
                modules=module,
                input=f'input(type="{kind}" port="{self.port}" address="{LOOPBACK}" ruleset="keep")',
            )
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        assert RSYSLOGD is not None
        self._process = subprocess.Popen(
            [RSYSLOGD, "-n", "-f", str(self._config), "-i", str(self._folder / "pid")],
            stdout=subprocess.DEVNULL,
            stderr=(self._folder / "stderr").open("wb"),
        )
        assert wait_until(self._listens, 10), (self._folder / "stderr").read_text()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)
            self._process = None

    def messages(self, at_least: int = 0, secs: float = 10.0) -> list[dict[str, Any]]:
        """Return what has arrived, after waiting for `at_least` messages."""
        wait_until(lambda: self._lines() >= at_least, secs)
        if not self._output.exists():
            return []
        found = [json.loads(line) for line in self._output.read_bytes().splitlines()]
        return [{**message, "data": json.loads(message["data"] or "{}")} for message in found]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _lines(self) -> int:
        return self._output.read_bytes().count(b"\n") if self._output.exists() else 0

    def _listens(self) -> bool:
        table = "udp" if self._transport == "udp" else "tcp"
        wanted = f"0100007F:{self.port:04X}"
        state = "07" if self._transport == "udp" else "0A"  # closed (bound), listening
        rows = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        return any(row.split()[1] == wanted and row.split()[3] == state for row in rows)


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a loopback port that nothing uses just now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
