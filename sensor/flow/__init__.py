"""Columns to flow records.

In: `PACKET` rows in time order. Out: `FLOW` records (biflows, RFC 5103) as
flows end, and one `FLOW_EVENT` row a packet that says which flow it belongs to
and what it changed.

Beside it: what the ends of a flow claim in their first payloads (`claims`), and
how much of the traffic the mirror does not show (`loss`, `oneway`).

Rules: memory is fixed when the meter is made; when the table is full a flow is
evicted and counted; under overload new flows are shed and counted (`shed`); time
only moves forward; neither batch cuts nor idle ticks change a record or the
order of records.
"""
