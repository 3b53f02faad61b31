"""Where packets come from.

A source is iterated for `PacketBatch`es and says what it lost:

- ``__iter__()`` yields `PacketBatch`; bytes are borrowed until the next one.
- ``counters()`` returns plain integers by name, at any time, from any thread.
- ``close()`` gives the resources back; safe to call twice.
"""
