"""Files with secrets and certificates, as the configuration names them.

``${CREDENTIALS_DIRECTORY}`` in a path is where systemd puts what a unit's
`LoadCredential=` names (systemd.exec(5), "Credentials").
"""

from __future__ import annotations

import os
from pathlib import Path

from sensor.errors import ConfigError

_VARIABLE = "${CREDENTIALS_DIRECTORY}"
_MAX_BYTES = 65_536  # a secret is a line; more than this is the wrong file


def locate(path: str, key: str) -> Path:
    """Return `path` with the credentials directory filled in.

    Parameters
    ----------
    path
        As configured.
    key
        The configuration key it came from, for the error's words.

    Raises
    ------
    ConfigError
        The variable is used and not set, or there is no such readable file.
    """
    if _VARIABLE in path:
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        if not directory:
            raise ConfigError(
                f"{key}: {path}: CREDENTIALS_DIRECTORY is not set; systemd sets it for units"
                " with LoadCredential=, elsewhere give the whole path"
            )
        path = path.replace(_VARIABLE, directory)
    found = Path(path)
    if not found.is_file() or not os.access(found, os.R_OK):
        raise ConfigError(f"{key}: {found}: no such file, or it may not be read")
    return found


def read_lines(path: str, key: str) -> list[str]:
    """Return the lines of a secret file that hold something, without surrounding space.

    Raises
    ------
    ConfigError
        The file cannot be read, is empty, is no ASCII text or is larger than 64 KiB.
        The error never shows what the file holds.
    """
    found = locate(path, key)
    with found.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES or not content.isascii():
        raise ConfigError(f"{key}: {found}: not a secret: more than 64 KiB, or not ASCII text")
    lines = [line for part in content.decode("ascii").splitlines() if (line := part.strip())]
    if not lines:
        raise ConfigError(f"{key}: {found}: the file is empty")
    return lines
