"""From a path to a window: what kind of file it is, by what it begins with."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat

from sensor.sources.gzip_input import GZIP_MAGIC, GzipInput
from sensor.sources.raw_input import RawInput
from sensor.sources.streamed import Input, StreamedWindow
from sensor.sources.zstd_frames import is_zstd
from sensor.sources.zstd_input import ZstdInput

#: The path that means standard input.
STDIN = "-"
_MAGIC_BYTES = 4
#: What a pipe is asked to hold instead of 64 KiB: as much as anybody may ask for.
#: Each read is a batch, and larger ones cost a fifth less.
_PIPE_BYTES = 1024 * 1024


def _streamed(raw: RawInput, head: bytes) -> StreamedWindow:
    """Return a window over `raw`, decompressed if its first bytes say so."""
    source: Input = raw
    if head.startswith(GZIP_MAGIC):
        source = GzipInput(raw)
    elif is_zstd(head):
        source = ZstdInput(raw)
    return StreamedWindow(source)


def _widened(descriptor: int) -> RawInput:
    """Return the input of a descriptor that has no length, with room for more at a time if it is a pipe."""
    with contextlib.suppress(OSError):  # no pipe, or more than this user may have
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return RawInput(descriptor, owned=descriptor != 0)


def open_window(path: str) -> StreamedWindow:
    """Open a capture, whatever it is packed in.

    Parameters
    ----------
    path
        A file, a named pipe, or ``-`` for standard input. gzip and zstd are
        known by their first bytes, never by the file's name.

    Returns
    -------
    StreamedWindow
        Over what is in the file, decompressed.

    Raises
    ------
    OSError
        There is no such file, it may not be read, or it is a folder.
    """
    if path == STDIN:
        raw = _widened(0)
        return _streamed(raw, raw.peek(_MAGIC_BYTES))
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        regular = stat.S_ISREG(status.st_mode)
        raw = RawInput(descriptor, size=status.st_size) if regular else _widened(descriptor)
        return _streamed(raw, raw.peek(_MAGIC_BYTES))
    except BaseException:
        os.close(descriptor)
        raise
