"""Scores to alerts.

In: scored flow and host rows of one window. Out: `Alert`s, one incident a
(host, kind), opened, updated and closed by the records' own time.

Rules: no clock; identifiers are derived from content, so that a replay gives
the same ones; every alert says what, who, how unusual and why.
"""
