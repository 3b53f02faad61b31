"""One place for numba's options and for its on-disk cache.

A kernel is a plain function over numpy arrays, compiled once. numba notices an
edit of the file a kernel stands in, but not of the files it calls into, nor of
its own settings; so the cache folder is named by a hash of every source that
holds kernels and of all that compiles them. The cache is pickle: a folder that
others can write to or put another in the place of would be a way in, and is
refused (kernels are then compiled anew at each start).
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

_F = TypeVar("_F", bound=Callable[..., object])
_PACKAGE = Path(__file__).parent
_KERNEL_PACKAGES = ("packet", "flow", "feature", "model", "sources")
#: What compiles them. (The processor is numba's to watch: its index is by processor.)
_COMPILERS = ("numba", "llvmlite", "numpy")
#: Says where compiled code is kept, and nothing about the code.
_CACHE_VARIABLE = "NUMBA_CACHE_DIR"


def source_hash() -> str:
    """Return a short hash of all that compiled code depends on.

    That is every source that may hold kernels, Python, the libraries that
    compile them, and numba's settings: with NUMBA_BOUNDSCHECK=1 the same source
    is other code. Versions are read without importing numba: it has to be told
    of the folder first.
    """
    digest = hashlib.sha256(sys.version.encode() + b"\0")
    for name in _COMPILERS:
        digest.update(f"{name} {version(name)}\0".encode())
    for variable, value in sorted(os.environ.items()):
        if variable.startswith("NUMBA_") and variable != _CACHE_VARIABLE:
            digest.update(os.fsencode(f"{variable}={value}\0"))
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
    try:
        # Without links: each folder on the way is then one that is looked at below.
        folder = (cache_root() / source_hash()).resolve()
        _make(folder)
        if not _is_ours(folder.stat()) or not all(_is_safe(parent.stat()) for parent in folder.parents):
            return None
    except (OSError, RuntimeError):  # RuntimeError: links in a circle, or no home
        return None
    return folder if os.access(folder, os.W_OK) else None


def _make(folder: Path) -> None:
    """Make the folder and those above it that are missing, for us alone whatever the umask."""
    for path in (*reversed(folder.parents), folder):
        if not path.is_dir():
            path.mkdir(mode=0o700, exist_ok=True)


def _is_ours(status: os.stat_result) -> bool:
    """Return whether nobody but this user and root can write to a folder."""
    return status.st_uid in (0, os.getuid()) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _is_safe(status: os.stat_result) -> bool:
    """Return whether nobody else can put another folder in the place of ours within this one."""
    return _is_ours(status) or (status.st_uid in (0, os.getuid()) and bool(status.st_mode & stat.S_ISVTX))


#: The folder that holds compiled kernels, or None where it would not be ours alone.
CACHE = _private_cache()
if CACHE is not None:
    # Set before numba is imported: it reads the variable once.
    os.environ[_CACHE_VARIABLE] = str(CACHE)

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
_OUTLINED = numba.njit(cache=CACHE is not None, nogil=True, error_model="numpy", _nrt=False)


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


def outlined(function: _F) -> _F:
    """Compile `function` as `kernel` does, but as code of its own instead of into each caller.

    For what few packets need (a TLS greeting, a tunnel): it keeps the loop that
    calls it small, and is compiled once.
    """
    compiled: _F = _OUTLINED(function)
    return compiled


def record_dtype(fields: list[Any]) -> np.dtype[np.void]:
    """Return an aligned dtype whose rows have their fields as attributes.

    `fields` is numpy's list of (name, type), or (name, type, shape) for an array.
    numba gives rows attributes anyway; `np.record` gives them to plain Python
    too, so that a kernel runs unchanged with ``NUMBA_DISABLE_JIT=1``.
    """
    return np.dtype((np.record, np.dtype(fields, align=True)))
