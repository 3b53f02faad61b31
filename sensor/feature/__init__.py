"""Records to matrices.

In: `FLOW` records, `PACKET` rows and their `FLOW_EVENT`s. Out: `X` (rows x
features, the order of `schema`) for flows, and for hosts once a window.

Rules: fixed memory, least recently seen host first out, each eviction counted;
no feature is a raw address, port, TTL or time of day (testbed shortcuts).
"""
