"""Bytes to columns.

In: a `PacketBatch` of borrowed bytes. Out: a `PACKET` array, one row a packet,
with the addresses, ports, flags and lengths that the flow table needs.

Rules: a bad frame keeps its row with a `DecodeError` code and is counted, never
raised; every offset is checked against the captured length before it is read;
a field that the capture length cut off is absent (zero and a code), never
guessed.
"""
