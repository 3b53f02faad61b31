"""What a flow's first bytes say it carries: the application protocol's number and name."""

from __future__ import annotations

import enum


class Application(enum.IntEnum):
    """Application protocol that first bytes claim; the lower-case name is ECS ``network.protocol``.

    The numbers are kept in records: a new protocol gets a new number, and none
    is given twice.
    """

    UNKNOWN = 0
    DNS = 1
    MDNS = 2
    LLMNR = 3
    NBNS = 4
    TLS = 5
    DTLS = 6
    QUIC = 7
    HTTP = 8
    SSDP = 9
    SSH = 10
    SMTP = 11
    FTP = 12
    POP3 = 13
    IMAP = 14
    SMB = 15
    RDP = 16
    KERBEROS = 17
    LDAP = 18
    DCERPC = 19
    MODBUS = 20
    DNP3 = 21
    S7COMM = 22
    ENIP = 23  # EtherNet/IP, the encapsulation of CIP
    BACNET = 24
    OPCUA = 25
    IEC104 = 26
    MQTT = 27
    SNMP = 28
    NTP = 29
    DHCP = 30
    DHCPV6 = 31
    SIP = 32
    RTSP = 33
    TFTP = 34
    SYSLOG = 35
    RADIUS = 36
    STUN = 37
    BITTORRENT = 38
    TELNET = 39
    VNC = 40
    MYSQL = 41
    POSTGRESQL = 42
    TDS = 43  # Microsoft SQL Server
    REDIS = 44
    IRC = 45
    WIREGUARD = 46
    OPENVPN = 47


def protocol_name(application: int) -> str:
    """Return the ECS ``network.protocol`` of an `Application` number, or "" for an unknown one."""
    if application in _NAMES:
        return _NAMES[application]
    return ""


_NAMES = {int(one): one.name.lower() for one in Application if one != Application.UNKNOWN}
