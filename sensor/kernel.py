"""One place for numba's options and for its on-disk cache.

A kernel is a plain function over numpy arrays, compiled once. numba notices an
edit of the file a kernel stands in, but not of the files it calls into; so the
cache folder is named by a hash of every source that holds kernels. The cache
is pickle: a folder that others can write to would be a way in, and is refused
(kernels are then compiled anew at each start).
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

_F = TypeVar("_F", bound=Callable[..., object])
_PACKAGE = Path(__file__).parent
_KERNEL_PACKAGES = ("packet", "flow", "feature", "model", "sources")


def source_hash() -> str:
    """Return a short hash of all sources that may hold kernels."""
    digest = hashlib.sha256()
    for name in _KERNEL_PACKAGES:
        for path in sorted((_PACKAGE / name).glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for path in (_PACKAGE / "kernel.py", _PACKAGE / "siphash.py"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_root() -> Path:
    """Return the folder that holds kernel caches: systemd's, the user's choice, or the XDG one."""
    for variable in ("SENSOR_CACHE_DIR", "CACHE_DIRECTORY"):
        if os.environ.get(variable):
            return Path(os.environ[variable]) / "kernels"
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(base) / "span-sensor" / "kernels"


def _private_cache() -> Path | None:
    """Make the cache folder and return it, or None where it would not be ours alone."""
    folder = cache_root() / source_hash()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except OSError:
        return None
    if status.st_uid not in (0, os.getuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return None
    return folder if os.access(folder, os.W_OK) else None


#: The folder that holds compiled kernels, or None where it would not be ours alone.
CACHE = _private_cache()
if CACHE is not None:
    # Set before numba is imported: it reads the variable once.
    os.environ["NUMBA_CACHE_DIR"] = str(CACHE)

import numba  # noqa: E402  (the cache folder has to be known first)
import numpy as np  # noqa: E402

#: One row of a structured array, as a kernel's argument.
Row: TypeAlias = Any
#: A structured array that kernels index with `Int`s (mypy cannot tell a row from a slice of it).
Rows: TypeAlias = Any
#: An integer as kernels pass it: Python's, or one of numpy's.
Int: TypeAlias = Any

# No reference counting: handing arrays to a kernel costs an atomic operation an array and call,
# which was half of all time spent; without it kernels cannot allocate, and must not.
_NJIT = numba.njit(cache=CACHE is not None, nogil=True, error_model="numpy", forceinline=True, _nrt=False)


def kernel(function: _F) -> _F:
    """Compile `function` with this project's one set of numba options.

    A kernel works on arrays that it is given and allocates none. `nogil`, so
    that sink threads run while packets are processed; `error_model = "numpy"`,
    so that a division by zero is inf or nan and never an exception. No
    `fastmath`: scores have to equal River's to the last bit. With
    ``NUMBA_DISABLE_JIT=1`` kernels stay plain Python (coverage, fuzzing).
    """
    compiled: _F = _NJIT(function)
    return compiled


def record_dtype(fields: list[tuple[str, type]]) -> np.dtype[np.void]:
    """Return an aligned dtype whose rows have their fields as attributes.

    numba gives rows attributes anyway; `np.record` gives them to plain Python
    too, so that a kernel runs unchanged with ``NUMBA_DISABLE_JIT=1``.
    """
    return np.dtype((np.record, np.dtype(fields, align=True)))
