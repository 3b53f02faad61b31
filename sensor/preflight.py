"""What can be known before the start: is there such an interface, may we capture, can sinks be opened."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sensor.config.models import Config
from sensor.errors import CaptureError, ConfigError
from sensor.sinks.credential import locate
from sensor.sinks.settings import JsonlSettings
from sensor.sources.offload import receive_offloads

_CAP_NET_RAW = 13  # linux/capability.h
_SIOCGIFFLAGS = 0x8913  # linux/sockios.h
_IFF_UP = 1  # linux/if.h
_ETHERNET = 1  # LINKTYPE_ETHERNET
_PERMISSION_HELP = (
    "capturing needs CAP_NET_RAW: run as root, use the systemd unit, "
    "or: setcap cap_net_raw+ep on the Python interpreter of the virtual environment"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer.

    Parameters
    ----------
    subject
        What was looked at.
    problem
        What is wrong; empty when nothing is.
    warning
        What is not wrong, but makes the result worse; empty when nothing does.
    note
        What was found when nothing is wrong.
    exit_code
        What the command line ends with because of `problem`.
    """

    subject: str
    problem: str = ""
    warning: str = ""
    note: str = ""
    exit_code: int = 1


def preflight(config: Config) -> list[Finding]:
    """Return all findings for `config`; nothing is sent and no packet is read."""
    findings: list[Finding] = []
    if config.capture.interface:
        there = _interface(config.capture.interface)
        findings.append(there if there.problem else _state(config.capture.interface))
        if not there.problem:
            findings += _offloads(config.capture.interface)
    findings += [_permission(), *_filter(config.capture.bpf), *_sinks(config)]
    return findings


def require_capture(config: Config) -> None:
    """Refuse early what could not capture anyway.

    Raises
    ------
    CaptureError
        There is no such interface, or no permission (exit code 77). One that is
        down is no reason: the capture begins when it comes up.
    """
    for finding in (_interface(config.capture.interface), _permission()):
        if finding.problem:
            raise CaptureError(f"{finding.subject}: {finding.problem}", finding.exit_code)


def _interface(name: str) -> Finding:
    known = sorted(name for _, name in socket.if_nameindex())
    if not name:
        return Finding("interface", f"say which with -i; here are: {', '.join(known)}", exit_code=2)
    subject = f"interface {name}"
    if name not in known:
        return Finding(subject, f"there is none; here are: {', '.join(known)}")
    return Finding(subject, note="is there")


def _state(name: str) -> Finding:
    """Look whether somebody has set the interface up: no packet comes from one that is down."""
    subject = f"interface {name}"
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asked:
            answer = fcntl.ioctl(asked.fileno(), _SIOCGIFFLAGS, struct.pack("16sH22x", name.encode(), 0))
    except OSError as error:
        return Finding(subject, f"its state cannot be read: {error.strerror}")
    if not struct.unpack_from("=H", answer, 16)[0] & _IFF_UP:
        return Finding(subject, f"is down, no packet can come; set it up: ip link set {name} up")
    try:
        state = Path("/sys/class/net", name, "operstate").read_text().strip()
    except OSError:
        state = "unknown"
    return Finding(subject, note=f"is there and up, link {state}")


def _offloads(name: str) -> Iterator[Finding]:
    """Look whether the card puts packets together; on loopback nothing else ever was."""
    found = [] if name == "lo" else receive_offloads(name)
    if found:
        turned_off = " ".join(f"{one} off" for one in found)
        yield Finding(
            f"interface {name}",
            warning=f"puts packets together before they are seen ({', '.join(found)}), so that sizes and"
            f" counts are not the network's; turn it off: ethtool -K {name} {turned_off}",
        )


def _permission() -> Finding:
    """Look for CAP_NET_RAW among this process's effective capabilities (proc(5))."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            if int(line.split()[1], 16) >> _CAP_NET_RAW & 1:
                return Finding("permission", note="CAP_NET_RAW is there")
            return Finding("permission", _PERMISSION_HELP, exit_code=77)
    return Finding("permission", note="cannot be told without /proc")


def _filter(bpf: str) -> Iterator[Finding]:
    if not bpf:
        return
    from sensor.sources.bpf import compile_filter  # noqa: PLC0415  (loads a BPF compiler)

    try:
        program = compile_filter(bpf, _ETHERNET)
    except ConfigError as error:
        yield Finding("filter", str(error), exit_code=error.exit_code)
    else:
        yield Finding("filter", note=f"compiles to {len(program)} instructions")


def _sinks(config: Config) -> Iterator[Finding]:
    """Look at the files that sinks write to or read; receivers are not contacted."""
    for settings in config.sinks:
        subject = f"sink {settings.name}"
        if isinstance(settings, JsonlSettings) and settings.path != "-":
            path = Path(settings.path)
            looked_at = path if path.exists() else path.parent
            if not os.access(looked_at, os.W_OK):
                yield Finding(subject, f"{looked_at} cannot be written to", exit_code=78)
                continue
        try:
            for key, value in settings:
                if key.endswith("_file") and value:
                    locate(value, key)
        except ConfigError as error:
            yield Finding(subject, str(error), exit_code=error.exit_code)
        else:
            yield Finding(
                subject, note=f"{settings.type}, its files can be used; the receiver was not contacted"
            )
