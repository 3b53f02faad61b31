"""From a path to a window: what kind of file it is, by what it begins with."""

from __future__ import annotations

import errno
import os
import stat

from sensor.sources.gzip_input import GZIP_MAGIC, GzipInput
from sensor.sources.mapped import MappedWindow
from sensor.sources.raw_input import RawInput
from sensor.sources.streamed import Input, StreamedWindow
from sensor.sources.window import Window
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


def _mapped(descriptor: int, size: int) -> MappedWindow | None:
    """Map the file, or return None where the file system cannot."""
    try:
        return MappedWindow(descriptor, size)
    except OSError as error:
        if error.errno not in (errno.ENODEV, errno.EACCES, errno.EINVAL, errno.ENOMEM):
            raise
        return None


def open_window(path: str) -> Window:
    """Open a capture, whatever it is packed in.

    Parameters
    ----------
    path
        A file, a named pipe, or ``-`` for standard input. gzip and zstd are
        known by their first bytes, never by the file's name.

    Returns
    -------
    Window
        Mapped for a plain regular file, else streamed.

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
        regular = stat.S_ISREG(status.st_mode)
        if regular:
            head = os.pread(descriptor, _MAGIC_BYTES, 0)
            packed = head.startswith(GZIP_MAGIC) or is_zstd(head)
            if status.st_size and not packed:
                mapped = _mapped(descriptor, status.st_size)
                if mapped is not None:
                    return mapped
        raw = RawInput(descriptor)
        return _streamed(raw, raw.peek(_MAGIC_BYTES))
    except BaseException:
        os.close(descriptor)
        raise
