"""The first payload packet of a flow's direction: which protocol it claims, and what it says.

In: the `PACKET` row of the packet and the bytes. Out: an `Application`, and the
flow's `CLAIM` row. Each packet is read by itself: what a segment does not hold
whole is absent.

Rules: a port alone never names a protocol; it says which one to ask for, and
the bytes have to bear it out. Protocols that name themselves (TLS, SSH, HTTP,
SMB, QUIC ...) are found on any port.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sensor.kernel import Int, Row, kernel, outlined
from sensor.packet.application import Application
from sensor.packet.banner import is_vnc, speaks, ssh
from sensor.packet.batch import Bytes
from sensor.packet.datagram import carries, is_bittorrent, is_openvpn, is_quic, is_stun, is_wireguard, tftp
from sensor.packet.dns import dns
from sensor.packet.hello import hello
from sensor.packet.http import http
from sensor.packet.industrial import is_mqtt_connect, is_opcua, operates
from sensor.packet.service import is_dcerpc, is_kerberos, is_smb, rdp, serves
from sensor.packet.text import is_upper
from sensor.packet.tls import dtls, tls
from sensor.packet.wire import be16, signed, u8

_UNKNOWN = int(Application.UNKNOWN)
_DNS = int(Application.DNS)
_NBNS = int(Application.NBNS)
_QUIC = int(Application.QUIC)
_HTTP = int(Application.HTTP)
_SSDP = int(Application.SSDP)
_SMB = int(Application.SMB)
_RDP = int(Application.RDP)
_KERBEROS = int(Application.KERBEROS)
_DCERPC = int(Application.DCERPC)
_OPCUA = int(Application.OPCUA)
_MQTT = int(Application.MQTT)
_TFTP = int(Application.TFTP)
_STUN = int(Application.STUN)
_BITTORRENT = int(Application.BITTORRENT)
_VNC = int(Application.VNC)
_WIREGUARD = int(Application.WIREGUARD)
_OPENVPN = int(Application.OPENVPN)

_TCP, _UDP = 6, 17
_SSDP_PORT = 1900

_A = Application
_LINES = tuple(map(int, (_A.SMTP, _A.FTP, _A.POP3, _A.IMAP, _A.TELNET, _A.REDIS, _A.IRC, _A.SYSLOG)))
_MACHINES = tuple(map(int, (_A.MODBUS, _A.DNP3, _A.S7COMM, _A.ENIP, _A.BACNET, _A.IEC104, _A.MQTT)))
_SERVICES = tuple(map(int, (_A.SMB, _A.LDAP, _A.SNMP, _A.MYSQL, _A.POSTGRESQL, _A.TDS)))

#: Which protocol to ask for on which port (IANA's registrations, and customs).
TCP_PORTS = {
    21: _A.FTP, 23: _A.TELNET, 25: _A.SMTP, 53: _A.DNS, 88: _A.KERBEROS, 102: _A.S7COMM, 110: _A.POP3,
    139: _A.SMB, 143: _A.IMAP, 389: _A.LDAP, 465: _A.SMTP, 502: _A.MODBUS, 514: _A.SYSLOG, 587: _A.SMTP,
    1194: _A.OPENVPN, 1433: _A.TDS, 1883: _A.MQTT, 2404: _A.IEC104, 2525: _A.SMTP, 3268: _A.LDAP,
    3306: _A.MYSQL, 3389: _A.RDP, 5432: _A.POSTGRESQL, 6379: _A.REDIS, 20000: _A.DNP3, 44818: _A.ENIP,
    **dict.fromkeys((6660, 6661, 6662, 6663, 6664, 6665, 6666, 6667, 6668, 6669, 7000), _A.IRC),
}  # fmt: skip
UDP_PORTS = {
    53: _A.DNS, 67: _A.DHCP, 68: _A.DHCP, 69: _A.TFTP, 88: _A.KERBEROS, 123: _A.NTP, 137: _A.NBNS,
    161: _A.SNMP, 162: _A.SNMP, 389: _A.LDAP, 514: _A.SYSLOG, 546: _A.DHCPV6, 547: _A.DHCPV6,
    1194: _A.OPENVPN, 1645: _A.RADIUS, 1646: _A.RADIUS, 1812: _A.RADIUS, 1813: _A.RADIUS,
    5353: _A.MDNS, 5355: _A.LLMNR, 20000: _A.DNP3, 44818: _A.ENIP, 47808: _A.BACNET,
}  # fmt: skip


def _numbers(ports: dict[int, Application]) -> npt.NDArray[np.int32]:
    """Return the ports in order, and below them their applications; shape (2, ports)."""
    return np.array(sorted((port, int(asked)) for port, asked in ports.items()), np.int32).T.copy()


_TCP_TABLE = _numbers(TCP_PORTS)
_UDP_TABLE = _numbers(UDP_PORTS)


@kernel
def asked_for(table: npt.NDArray[np.int32], port: Int) -> Int:
    """Return the `Application` to ask for on a port, 0 for none."""
    low, high = signed(0), signed(table.shape[1])
    while low < high:
        middle = (low + high) // 2
        if table[0, middle] < port:
            low = middle + 1
        else:
            high = middle
    if low < table.shape[1] and table[0, low] == port:
        return signed(table[1, low])
    return signed(_UNKNOWN)


@outlined
def bears(data: Bytes, packet: Row, asked: Int) -> bool:
    """Return whether a payload is of the protocol that its port stands for, among those without claims."""
    at, size = packet.payload_offset, signed(packet.payload_bytes)
    end = at + signed(packet.payload_captured)
    stream = signed(packet.protocol == _TCP)
    if asked in _LINES:
        return speaks(data, at, end, asked)
    if asked in _MACHINES:
        return operates(data, at, end, size, asked)
    if asked in _SERVICES:
        return serves(data, at, end, size, asked)
    if asked == _KERBEROS:
        return is_kerberos(data, at, end, size, stream)
    if asked == _OPENVPN:
        return is_openvpn(data, at, end, size, stream)
    return carries(data, at, end, size, asked)


@outlined
def named(data: Bytes, packet: Row) -> Int:
    """Return which protocol a payload names itself, whatever the port; 0 for none. None has claims."""
    at, size = packet.payload_offset, signed(packet.payload_bytes)
    end = at + signed(packet.payload_captured)
    first = u8(data, at)
    if first <= 3 and is_stun(data, at, end, size):
        return _STUN
    if first in (0x13, 0x64) and is_bittorrent(data, at, end):
        return _BITTORRENT
    if packet.protocol == _UDP:
        if first >= 0x80 and is_quic(data, at, end, size):
            return _QUIC
        return _WIREGUARD if first <= 2 and is_wireguard(data, at, end, size) else _UNKNOWN
    if first == 0x00 and is_smb(data, at, end):
        return _SMB
    if first == 0x05 and is_dcerpc(data, at, end, size):
        return _DCERPC
    if first == 0x10 and is_mqtt_connect(data, at, end):
        return _MQTT
    if is_upper(first) and is_vnc(data, at, end):
        return _VNC
    return _OPCUA if is_upper(first) and is_opcua(data, at, end, size) else _UNKNOWN


@kernel
def by_port(data: Bytes, packet: Row, asked: Int, claim: Row) -> Int:
    """Return `asked` if the payload is of that protocol, else 0."""
    at, size = packet.payload_offset, signed(packet.payload_bytes)
    end, stop = at + signed(packet.payload_captured), at + size
    if asked == _RDP:
        return rdp(data, at, end, size, signed(1), claim)
    if asked == _TFTP:
        return tftp(data, at, end, claim)
    if not _DNS <= asked <= _NBNS:
        return asked if bears(data, packet, asked) else signed(_UNKNOWN)
    if packet.protocol == _TCP:
        # The length of the message stands before it (RFC 1035, 4.2.2).
        if at + 14 > end:
            return signed(_UNKNOWN)
        stop = at + 2 + be16(data, at)
        at += 2
    return dns(data, at, min(end, stop), stop, asked, claim)


@kernel
def by_text(data: Bytes, packet: Row, reverse: Int, claim: Row) -> Int:
    """Return the protocol of a payload that begins with a capital letter, if it says one; else 0."""
    at = packet.payload_offset
    end = at + signed(packet.payload_captured)
    found = ssh(data, at, end, reverse, claim) if packet.protocol == _TCP else signed(_UNKNOWN)
    if found == _UNKNOWN:
        found = http(data, at, end, claim)
    if found == _HTTP and packet.protocol == _UDP and _SSDP_PORT in (packet.src_port, packet.dst_port):
        found = signed(_SSDP)
    return found


@kernel
def by_record(data: Bytes, packet: Row, claim: Row, scratch: Row) -> Int:
    """Return `TLS` or `DTLS` if the payload begins with a record of theirs, else 0."""
    at = packet.payload_offset
    end = at + signed(packet.payload_captured)
    if packet.protocol == _TCP:
        found = tls(data, at, end, scratch)
    else:
        found = dtls(data, at, end, at + signed(packet.payload_bytes), scratch)
    if scratch.client >= 0:
        hello(data, claim, scratch)
    return found


@outlined
def read_claim(data: Bytes, packet: Row, reverse: Int, claim: Row, scratch: Row) -> Int:
    """Read the first payload of one direction of a flow.

    Parameters
    ----------
    data
        uint8, shape (bytes,): the batch's bytes.
    packet
        `PACKET` row, of TCP or UDP; without payload nothing is read.
    reverse
        0: sent by the flow's initiator; 1: by its responder.
    claim
        The flow's `CLAIM` row: blank for the first call, the same for the reply.
    scratch
        `CLAIM_SCRATCH` row.

    Returns
    -------
    application
        `Application` of this packet by itself; `claim.application` is the
        flow's: the first that was not unknown.
    """
    found = signed(_UNKNOWN)
    if packet.payload_offset < 0 or packet.fragment_offset != 0 or packet.protocol not in (_TCP, _UDP):
        return found
    first = u8(data, packet.payload_offset)
    if 20 <= first <= 23:
        found = by_record(data, packet, claim, scratch)
    elif is_upper(first):
        found = by_text(data, packet, reverse, claim)
    for i in range(2):
        port = signed(packet.dst_port if i == 0 else packet.src_port)
        asked = asked_for(_TCP_TABLE if packet.protocol == _TCP else _UDP_TABLE, port)
        if found == _UNKNOWN and asked != _UNKNOWN:
            found = by_port(data, packet, asked, claim)
    if found == _UNKNOWN:
        found = named(data, packet)
    if found == _UNKNOWN and first == 0x03 and packet.protocol == _TCP:
        at = packet.payload_offset
        size = signed(packet.payload_bytes)
        found = rdp(data, at, at + signed(packet.payload_captured), size, signed(0), claim)
    if claim.application == _UNKNOWN:
        claim.application = found
    return found
