"""Protocols of plants, buildings and things: asked for by port, borne out by their header.

In: one payload, of which `size` bytes were on the wire. Out: whether it is what
it may be. OPC UA and MQTT name themselves, on any port.

Rules: lengths have to agree with the payload; of a TCP segment, the first
message has to fit in it, and more may follow.
"""

from __future__ import annotations

from sensor.kernel import Int, kernel, outlined
from sensor.packet.application import Application
from sensor.packet.batch import Bytes
from sensor.packet.little_endian import le16, le32
from sensor.packet.text import word
from sensor.packet.wire import be16, be32, signed, u8

#: Parameters of a transport connection request that are walked.
MAX_PARAMETERS = 8

_MODBUS = int(Application.MODBUS)
_DNP3 = int(Application.DNP3)
_S7COMM = int(Application.S7COMM)
_ENIP = int(Application.ENIP)
_BACNET = int(Application.BACNET)
_IEC104 = int(Application.IEC104)

_OPCUA_WORDS = tuple(word(text) for text in (b"HELF", b"ACKF", b"ERRF", b"RHEF", b"OPNF"))
_MQTT, _MQIS = word(b"MQTT"), word(b"MQIs")
#: Commands of EtherNet/IP's encapsulation (CIP volume 2, table 2-3.2).
_ENIP_COMMANDS = (0x0004, 0x0063, 0x0064, 0x0065, 0x0066, 0x006F, 0x0070, 0x0072, 0x0073)


@kernel
def is_opcua(data: Bytes, at: Int, end: Int, size: Int) -> bool:
    """Return whether it is a whole first message of OPC UA's TCP transport (part 6, 7.1.2)."""
    return at + 8 <= end and be32(data, at) in _OPCUA_WORDS and le32(data, at + 4) == size


@kernel
def is_mqtt_connect(data: Bytes, at: Int, end: Int) -> bool:
    """Return whether it is MQTT's CONNECT (OASIS MQTT 3.1.1, 3.1): protocol name behind the length."""
    if at + 8 > end or u8(data, at) != 0x10:
        return False
    name = signed(at + 2)
    while name < at + 5 and u8(data, name - 1) >= 0x80:
        name += 1
    if name + 6 > end or u8(data, name - 1) >= 0x80:
        return False
    size, begin = be16(data, name), be32(data, name + 2)
    return bool((size == 4 and begin == _MQTT) or (size == 6 and begin == _MQIS))


@kernel
def is_mqtt_connack(data: Bytes, at: Int, size: Int) -> bool:
    """Return whether it is MQTT's CONNACK (3.2): a flag and a code, and what version 5 adds."""
    rest = u8(data, at + 1)
    return bool(u8(data, at) == 0x20 and 2 <= rest < 0x80 and rest + 2 <= size and u8(data, at + 2) <= 1)


@kernel
def is_modbus(data: Bytes, at: Int, end: Int, size: Int) -> bool:
    """Return whether it is Modbus/TCP (Modbus Messaging on TCP/IP, 3.1.3)."""
    if at + 8 > end or be16(data, at + 2) != 0:
        return False
    length = be16(data, at + 4)
    return bool(2 <= length <= 254 and length + 6 <= size and u8(data, at + 7) & 0x7F)


@kernel
def is_dnp3(data: Bytes, at: Int, end: Int) -> bool:
    """Return whether it is DNP3's link layer (IEEE 1815, 9.2): its start bytes and a possible length."""
    return bool(at + 10 <= end and be16(data, at) == 0x0564 and u8(data, at + 2) >= 5)


@kernel
def is_tpkt(data: Bytes, at: Int, end: Int, size: Int) -> bool:
    """Return whether it is a packet on top of TCP (RFC 1006, 6) with a transport header, and fits."""
    if at + 7 > end or be16(data, at) != 0x0300:
        return False
    length = be16(data, at + 2)
    return bool(7 <= length <= size and u8(data, at + 4) + 5 <= length)


@kernel
def is_s7comm(data: Bytes, at: Int, end: Int, size: Int) -> bool:
    """Return whether it is Siemens S7: its data, or a connection request that names a connection type.

    S7's first packet is a transport connection request (ISO 8073, 13.3), where
    the called selector has two bytes: 1 to 3 (programmer, panel, other), then
    rack and slot. Others on this port (IEC 61850) name other selectors.
    """
    if not is_tpkt(data, at, end, size):
        return False
    kind = u8(data, at + 5) & 0xF0
    if kind == 0xF0:
        return at + 8 <= end and u8(data, at + 7) == 0x32
    if kind not in (0xD0, 0xE0):
        return False
    stop = min(end, at + 5 + u8(data, at + 4))
    item = at + 11
    for _ in range(MAX_PARAMETERS):
        if item + 4 > stop:
            return False
        if u8(data, item) == 0xC2:
            return bool(u8(data, item + 1) == 2 and 1 <= u8(data, item + 2) <= 3)
        item += 2 + u8(data, item + 1)
    return False


@kernel
def is_enip(data: Bytes, at: Int, end: Int, size: Int) -> bool:
    """Return whether it is EtherNet/IP's encapsulation header (CIP volume 2, 2-3.1): options are 0."""
    if at + 24 > end or le16(data, at) not in _ENIP_COMMANDS:
        return False
    return bool(le16(data, at + 2) + 24 <= size and be32(data, at + 20) == 0)


@kernel
def is_bacnet(data: Bytes, at: Int, end: Int, size: Int) -> bool:
    """Return whether it is BACnet/IP (ASHRAE 135, annex J): the length is the datagram's."""
    if at + 4 > end:
        return False
    return bool(u8(data, at) == 0x81 and u8(data, at + 1) <= 0x0C and be16(data, at + 2) == size)


@kernel
def is_iec104(data: Bytes, at: Int, end: Int, size: Int) -> bool:
    """Return whether it is IEC 60870-5-104: a frame that fits, with a control field of one of three kinds."""
    if at + 6 > end or u8(data, at) != 0x68:
        return False
    length, control = u8(data, at + 1), u8(data, at + 2)
    if not (4 <= length <= 253 and length + 2 <= size):
        return False
    if control & 1 == 0:
        return length > 4
    return bool(length == 4 and (control == 0x01 or control & 3 == 3) and u8(data, at + 3) == 0)


@outlined
def operates(data: Bytes, at: Int, end: Int, size: Int, application: Int) -> bool:
    """Return whether a payload is of the industrial protocol that its port stands for."""
    if application == _MODBUS:
        return is_modbus(data, at, end, size)
    if application == _DNP3:
        return is_dnp3(data, at, end)
    if application == _S7COMM:
        return is_s7comm(data, at, end, size)
    if application == _ENIP:
        return is_enip(data, at, end, size)
    if application == _BACNET:
        return is_bacnet(data, at, end, size)
    if application == _IEC104:
        return is_iec104(data, at, end, size)
    # MQTT's client is known without its port.
    return at + 4 <= end and is_mqtt_connack(data, at, size)
