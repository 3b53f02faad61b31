"""Signatures of Standard Webhooks: who gets a message can tell that this sensor wrote it.

Reference: https://github.com/standard-webhooks/standard-webhooks, specification 1.0.0.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from sensor.errors import ConfigError

_PREFIX = "whsec_"


def signing_key(secret: str) -> bytes:
    """Return the key bytes of a secret: ``whsec_`` and base64, or any other text as it is.

    Raises
    ------
    ConfigError
        What follows ``whsec_`` is not base64. The error does not show it.
    """
    if not secret.startswith(_PREFIX):
        return secret.encode("ascii")
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise ConfigError("secret_file: what follows whsec_ is not base64") from error
    if not key:
        raise ConfigError("secret_file: there is no key after whsec_")
    return key


def signed_headers(keys: Sequence[bytes], message_id: str, seconds: int, body: bytes) -> dict[str, str]:
    """Return the headers that sign `body`, one signature for each key.

    Parameters
    ----------
    keys
        Two of them while a receiver changes from an old secret to a new one.
    message_id
        Unique to the message and the same in every attempt: the idempotency key.
    seconds
        Time of this attempt, seconds since the epoch; receivers refuse old ones.
    body
        Exactly the bytes that are sent.
    """
    signed = f"{message_id}.{seconds}.".encode("ascii") + body
    digests = (hmac.new(key, signed, hashlib.sha256).digest() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join("v1," + base64.b64encode(digest).decode("ascii") for digest in digests),
    }
