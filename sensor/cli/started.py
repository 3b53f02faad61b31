"""The end of start-up, as the garbage collector sees it."""

from __future__ import annotations

import gc


def started_up() -> None:
    """Let the collector run from here on, and leave out what start-up made: it stays to the end."""
    gc.freeze()
    gc.enable()
