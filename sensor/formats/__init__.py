"""How an alert is written: pure functions from (Alert, Observer) to bytes.

No format adds a fact, and none lets text from the network change the shape of
what it writes.
"""
