"""Filter expressions, compiled for the kernel's socket filter.

The expression language is libpcap's (`pcap-filter(7)`); libpcap itself is
reached through scapy, which is imported only when there is an expression.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from sensor.errors import ConfigError

#: `struct sock_filter`: one instruction of the classic BPF machine.
SOCK_FILTER = np.dtype([("code", np.uint16), ("jt", np.uint8), ("jf", np.uint8), ("k", np.uint32)])

Program = npt.NDArray[np.void]

#: ``ret #k``: ends the program; keeps k bytes of the packet, or drops it when k is 0.
_RETURN_CONSTANT = 0x06
#: Longest program the kernel takes (BPF_MAXINSNS).
_MAX_INSTRUCTIONS = 4096


def compile_filter(expression: str, link_type: int, snaplen: int = 262_144) -> Program:
    """Compile a filter expression.

    Parameters
    ----------
    expression
        As for tcpdump. Empty: every packet.
    link_type
        LINKTYPE_* of the frames.
    snaplen
        Bytes to keep of each packet that matches.

    Returns
    -------
    Program
        `SOCK_FILTER`, shape (instructions,).

    Raises
    ------
    ConfigError
        The expression is wrong, is about VLAN tags, is too long for the
        kernel, or libpcap is not installed.

    Notes
    -----
    The kernel takes a frame's outer VLAN tag off before it runs the filter, so
    `tcp port 80` matches tagged frames too, and ``vlan`` would never match: it
    is refused rather than accepted in vain.
    """
    if not expression.strip():
        return keep_all(snaplen)
    if re.search(r"\bvlan\b", expression):
        raise ConfigError(
            f"filter {expression!r}: 'vlan' cannot be matched on a live interface, where the tag is taken off"
            " before the filter runs; without it the filter sees tagged and untagged frames alike"
        )
    program = _from_libpcap(expression, link_type)
    if program.size > _MAX_INSTRUCTIONS:
        raise ConfigError(
            f"filter {expression!r}: {program.size} instructions, the kernel takes {_MAX_INSTRUCTIONS}"
        )
    accepts = (program["code"] == _RETURN_CONSTANT) & (program["k"] != 0)
    program["k"][accepts] = snaplen
    return program


def keep_all(snaplen: int) -> Program:
    """Return the program that keeps `snaplen` bytes of every packet; 0 keeps no packet at all."""
    return np.array([(_RETURN_CONSTANT, 0, 0, snaplen)], SOCK_FILTER)


def _from_libpcap(expression: str, link_type: int) -> Program:
    try:
        from scapy.arch.common import compile_filter as scapy_compile  # noqa: PLC0415  (slow, rarely needed)
        from scapy.error import Scapy_Exception  # noqa: PLC0415  (same)

        compiled = scapy_compile(expression, linktype=link_type)
    except ImportError as error:
        raise ConfigError(
            f"filter {expression!r} needs libpcap, which is not installed"
            " (Debian and Ubuntu: libpcap0.8, Fedora and RHEL: libpcap)"
        ) from error
    except Scapy_Exception as error:
        raise ConfigError(f"filter {expression!r}: {error}") from error
    # scapy declares the constant as a signed number, which the words of many addresses are not.
    rows = [(row.code, row.jt, row.jf, row.k & 0xFFFF_FFFF) for row in compiled.bf_insns[: compiled.bf_len]]
    return np.array(rows, SOCK_FILTER)
