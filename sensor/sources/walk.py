"""What a walk over a capture's records gives back: rows, and why it stopped."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from sensor.packet.batch import Frames
from sensor.sources.window import Window

# Why a kernel stopped. Plain integers: kernels freeze them when compiled.
FULL = 0  # no row left to fill
NEED = 1  # the record at `position` is not whole: `need` bytes from there
BAD_CAPTURED_LENGTH = 2
BAD_BLOCK_LENGTH = 3
BAD_BLOCK_TRAILER = 4
SECTION = 5  # a section header block: read in Python
DESCRIPTION = 6  # an interface description block: read in Python

#: The kernel's verdicts on a file, in words.
DAMAGE = {
    BAD_CAPTURED_LENGTH: "a record claims more captured bytes than it can hold",
    BAD_BLOCK_LENGTH: "a block claims an impossible length",
    BAD_BLOCK_TRAILER: "a block's two lengths differ",
}


class BadCaptureError(ValueError):
    """A header that the rest of the file cannot be read without is wrong; stays inside `sources`."""


class Filled(NamedTuple):
    """What one call of `Walker.fill` did.

    Parameters
    ----------
    rows
        Rows filled, from the first on.
    need
        0, or the bytes that have to be there from `window.position` on before
        the walk can go on.
    damage
        Why the walk cannot go on at all; empty when it can.
    """

    rows: int
    need: int = 0
    damage: str = ""


class Walker(Protocol):
    """Turns the bytes of one capture format into `FRAME` rows.

    Attributes
    ----------
    readable
        Whether a whole file header has been read: the file is a capture.
    """

    readable: bool

    def fill(self, window: Window, frames: Frames) -> Filled:
        """Fill `frames` (`FRAME`, shape (n,)) from `window`, and move its position.

        Offsets point into `window.data` and hold until the window is asked for more.
        """
        ...
