"""A small office network made of namespaces, with a real mirror (SPAN) port.

    host --eth0==port-host--[ br0 in `switch` ]--port-x==eth0-- host ...
                                  | every port's ingress is mirrored (tc mirred)
                               mirror0 ==== span0 in `sensor`

Each frame is mirrored once, where it enters the switch. Checksum and
segmentation offloads are off everywhere, so that what the mirror shows looks
like what a wire carries. Names hold the process id; leaving the context ends
every process in the namespaces and deletes them.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

_SERIAL = itertools.count()
_OFFLOADS = ("tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off")
_NETNS_ETC = Path("/etc/netns")
_CLONE_NEWNET = 0x40000000


def missing_tools(*tools: str) -> str:
    """Return why the lab cannot run here, or an empty string when it can."""
    if os.geteuid() != 0:
        return "needs root to build network namespaces"
    absent = [tool for tool in ("ip", "tc", "ethtool", *tools) if shutil.which(tool) is None]
    if absent:
        return f"needs {', '.join(absent)}"
    probe = f"lab{os.getpid()}probe{next(_SERIAL)}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False)
    if made.returncode:
        return "cannot make network namespaces: " + made.stderr.decode().strip()
    subprocess.run(["ip", "netns", "del", probe], check=False)
    return ""


def sh(*argv: str) -> str:
    """Run a command to its end and return what it printed; a failure names the command."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


@dataclass
class Host:
    """One network namespace, and the processes started in it."""

    name: str
    namespace: str
    address: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def argv(self, argv: Sequence[str]) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *argv]

    def run(self, *argv: str, timeout: float = 60) -> str:
        """Run a command inside, to its end, and return what it printed."""
        done = subprocess.run(self.argv(argv), capture_output=True, text=True, check=False, timeout=timeout)
        if done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def start(
        self, *argv: str, log: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a command inside, in a process group of its own that ends with the network."""
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(log.open("ab")) if log else subprocess.DEVNULL
            process = subprocess.Popen(
                self.argv(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=None if env is None else {**os.environ, **env},
            )
        self.processes.append(process)
        return process

    def ip(self, *argv: str) -> str:
        return sh("ip", "-n", self.namespace, *argv)

    def sysctl(self, key: str, value: str) -> None:
        self.run("sh", "-c", f"echo {value} > /proc/sys/{key.replace('.', '/')}")

    def stop(self) -> None:
        """End what was started here, and whatever that left behind in this namespace."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for send in (signal.SIGTERM, signal.SIGKILL):
            for _ in range(20):
                pids = {int(pid) for pid in sh("ip", "netns", "pids", self.namespace).split()} - {os.getpid()}
                if not pids:
                    break
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, send)
                time.sleep(0.05)
        for process in self.processes:
            process.wait(timeout=5)
        self.processes.clear()


class Network:
    """Hosts on one switch, and a sensor on its mirror port. Use as a context manager.

    Parameters
    ----------
    hosts
        Name to address with prefix length, e.g. ``{"pc1": "10.20.0.21/24"}``.
    gateway
        Name of the host that the others take as their default route and name server.
    outside
        Further host behind the gateway (not on the switch), with its addresses;
        the first address is its own, the rest are what it answers for.
    """

    def __init__(self, hosts: Mapping[str, str], gateway: str = "", outside: Sequence[str] = ()) -> None:
        self._prefix = f"lab{os.getpid()}n{next(_SERIAL)}"
        self._plan = dict(hosts)
        self._gateway = gateway
        self._outside = list(outside)
        self.hosts: dict[str, Host] = {}
        self._etc: list[Path] = []

    @property
    def sensor(self) -> Host:
        """The namespace that holds `span0`, where the mirrored frames arrive."""
        return self.hosts["sensor"]

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes and delete all namespaces. Safe to call twice."""
        for host in reversed(self.hosts.values()):
            host.stop()
        for host in self.hosts.values():
            sh("ip", "netns", "del", host.namespace)
        self.hosts.clear()
        for folder in self._etc:
            shutil.rmtree(folder, ignore_errors=True)
        self._etc.clear()
        with contextlib.suppress(OSError):
            _NETNS_ETC.rmdir()  # only when nothing of anybody else's is in it

    def _build(self) -> None:
        switch = self._namespace("switch")
        switch.ip("link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0")
        switch.ip("link", "set", "br0", "up")
        self._namespace("sensor")
        self._cable("sensor", "span0", "mirror0")
        for host, link in ((switch, "mirror0"), (self.sensor, "span0")):
            host.sysctl(f"net.ipv6.conf.{link}.disable_ipv6", "1")
            host.ip("link", "set", link, "arp", "off", "up")
        for name, address in self._plan.items():
            self.attach(name, address)
        if self._outside:
            self._attach_outside()

    def _namespace(self, name: str, address: str = "") -> Host:
        namespace = f"{self._prefix}-{name}"
        sh("ip", "netns", "add", namespace)
        host = self.hosts[name] = Host(name, namespace, address.partition("/")[0])
        host.ip("link", "set", "lo", "up")
        return host

    def _cable(self, name: str, link: str, port: str, to: str = "switch") -> None:
        """Join `link` in host `name` and `port` in host `to`, with offloads off at both ends."""
        near, far = self.hosts[name], self.hosts[to]
        near.ip("link", "add", link, "type", "veth", "peer", "name", port, "netns", far.namespace)
        for host, end in ((near, link), (far, port)):
            host.run("ethtool", "-K", end, *_OFFLOADS)

    def attach(self, name: str, address: str) -> Host:
        """Plug one more host into the switch, mirrored like the others."""
        host, switch = self._namespace(name, address), self.hosts["switch"]
        port = f"port-{name}"[:15]
        self._cable(name, "eth0", port)
        switch.ip("link", "set", port, "master", "br0", "up")
        octets = (int(part) for part in host.address.split("."))
        host.ip("link", "set", "eth0", "address", "02:1a:" + ":".join(f"{octet:02x}" for octet in octets))
        host.ip("address", "add", address, "dev", "eth0")
        host.ip("link", "set", "eth0", "up")
        tc = ("tc", "-n", switch.namespace)
        sh(*tc, "qdisc", "add", "dev", port, "handle", "ffff:", "ingress")
        match = ("parent", "ffff:", "protocol", "all", "u32", "match", "u32", "0", "0")
        mirror = ("action", "mirred", "egress", "mirror", "dev", "mirror0")
        sh(*tc, "filter", "add", "dev", port, *match, *mirror)
        if self._gateway and name != self._gateway:
            router = self._plan[self._gateway].split("/")[0]
            host.ip("route", "add", "default", "via", router)
            folder = _NETNS_ETC / host.namespace
            folder.mkdir(parents=True)
            self._etc.append(folder)
            folder.joinpath("resolv.conf").write_text(f"nameserver {router}\noptions timeout:2 attempts:2\n")
        return host

    def _attach_outside(self) -> None:
        """Put a host with many addresses behind the gateway; what it does not hold goes nowhere."""
        outside, router = self._namespace("outside", self._outside[0]), self.hosts[self._gateway]
        self._cable("outside", "eth0", "wan0", to=self._gateway)
        router.ip("address", "add", "192.0.2.1/30", "dev", "wan0")
        router.ip("link", "set", "wan0", "up")
        router.sysctl("net.ipv4.ip_forward", "1")
        router.ip("route", "add", "blackhole", "default")
        outside.ip("address", "add", "192.0.2.2/30", "dev", "eth0")
        outside.ip("link", "set", "eth0", "up")
        outside.ip("route", "add", "default", "via", "192.0.2.1")
        for address in self._outside:
            outside.ip("address", "add", f"{address}/32", "dev", "lo")
            router.ip("route", "add", f"{address}/32", "via", "192.0.2.2")


def wait_until(ready: Callable[[], object], timeout_secs: float = 10.0) -> None:
    """Call `ready` until it returns something true; a `TimeoutError` says that it never did."""
    deadline = time.monotonic() + timeout_secs
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not ready after {timeout_secs} s")
        time.sleep(0.05)


@contextlib.contextmanager
def inside(host: Host) -> Iterator[None]:
    """Move the calling thread into a namespace and back; sockets opened meanwhile stay there."""
    setns = ctypes.CDLL(None, use_errno=True).setns
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{host.namespace}", os.O_RDONLY)
    try:
        if setns(there, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {host.namespace}")
        yield
    finally:
        setns(home, _CLONE_NEWNET)
        os.close(there)
        os.close(home)
