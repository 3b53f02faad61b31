"""From a path to a window: what kind of file it is, by what it begins with."""

from __future__ import annotations

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


def _streamed(raw: RawInput, head: bytes) -> StreamedWindow:
    """Return a window over `raw`, decompressed if its first bytes say so."""
    source: Input = raw
    if head.startswith(GZIP_MAGIC):
        source = GzipInput(raw)
    elif is_zstd(head):
        source = ZstdInput(raw)
    return StreamedWindow(source)


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
        raw = RawInput(0, owned=False)
        return _streamed(raw, raw.peek(_MAGIC_BYTES))
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        raw = RawInput(descriptor, size=status.st_size if stat.S_ISREG(status.st_mode) else 0)
        return _streamed(raw, raw.peek(_MAGIC_BYTES))
    except BaseException:
        os.close(descriptor)
        raise
