"""Alerts by HTTP: one POST of ECS JSON each.

Certificates are verified, redirects are not followed, and nothing is taken
from the environment (proxies, netrc): what is configured is what happens.
Retrying is `Delivery`'s work; this module says whether it makes sense.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import requests
import urllib3

from sensor import __version__
from sensor.alert.alert import Alert, Observer
from sensor.errors import ConfigError, DeliveryError
from sensor.formats import ecs
from sensor.formats.canonical import ID_BYTES, printable
from sensor.sinks.credential import locate, read_lines
from sensor.sinks.retry_after import retry_after_secs
from sensor.sinks.signature import signed_headers, signing_key

#: Answers after which the same request may succeed: timeout, too early, too many requests; and all 5xx.
_RETRY_STATUS = frozenset({408, 425, 429})
_ANSWER_BYTES = 65_536  # more of an answer is not read; its connection is given up
_SHOWN_BYTES = 512
_CHUNK_BYTES = 8_192


class Webhook:
    """An HTTP endpoint that takes alerts.

    Parameters
    ----------
    url
        ``http://`` or ``https://``; never shown whole, since it may hold a secret.
    observer
        Written into every alert.
    timeout_secs
        Limit for connecting, for each wait for the receiver, and for reading its answer.
    headers
        Sent along; they may hold secrets and are never shown.
    ca_file
        Trusted certificates instead of those that come with `requests`.
    client_cert_file, client_key_file
        This sensor's certificate; the key may stand in the same file.
    token_file
        First line: the bearer token.
    secret_file
        One Standard Webhooks secret a line; each signs every message.
    proxy_url
        An HTTP proxy to go through.
    name
        Shown in counters and logs.

    Raises
    ------
    ConfigError
        The URL or a header is malformed, or a file cannot be used.
    """

    def __init__(  # noqa: PLR0913  (its parameters are the keys of the configuration)
        self,
        url: str,
        *,
        observer: Observer,
        timeout_secs: float = 10.0,
        headers: Mapping[str, str] | None = None,
        ca_file: str | None = None,
        client_cert_file: str | None = None,
        client_key_file: str | None = None,
        token_file: str | None = None,
        secret_file: str | None = None,
        proxy_url: str | None = None,
        name: str = "webhook",
    ) -> None:
        self.name = name
        self._url = url
        self._place = _place(url)
        self._observer = observer
        self._timeout_secs = timeout_secs
        self._keys = (
            [signing_key(line) for line in read_lines(secret_file, "secret_file")] if secret_file else []
        )
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers.update(
            {
                "User-Agent": f"span-sensor/{__version__}",
                "Content-Type": "application/json",
                "Accept-Encoding": "identity",  # an answer of bounded size stays one
                **(headers or {}),
            }
        )
        if token_file:
            self._session.headers["Authorization"] = f"Bearer {read_lines(token_file, 'token_file')[0]}"
        if ca_file:
            self._session.verify = str(locate(ca_file, "ca_file"))
        if client_cert_file:
            certificate = str(locate(client_cert_file, "client_cert_file"))
            key = str(locate(client_key_file, "client_key_file")) if client_key_file else certificate
            self._session.cert = (certificate, key)
        if proxy_url:
            self._session.proxies = {"http": proxy_url, "https": proxy_url}
        self._check()

    def __repr__(self) -> str:
        return f"Webhook(name={self.name!r}, place={self._place!r})"

    def send(self, alert: Alert) -> None:
        """POST the alert and return when the receiver answered with a 2xx status.

        Raises
        ------
        DeliveryError
            With `retry` after 408, 425, 429, any 5xx and everything that goes
            wrong on the way; without after any other status.
        """
        body = ecs.render(alert, self._observer)
        headers = signed_headers(self._keys, printable(alert.id, ID_BYTES), int(time.time()), body)
        if not self._keys:
            headers = {"webhook-id": headers["webhook-id"]}  # still the idempotency key
        try:
            answer = self._session.post(
                self._url,
                data=body,
                headers=headers,
                timeout=(self._timeout_secs, self._timeout_secs),
                allow_redirects=False,
                stream=True,
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise DeliveryError(f"{self._place}: {_cause(error)}", retry=True) from None
        with answer:
            content = self._read(answer)
        if not 200 <= answer.status_code < 300:
            raise self._refusal(answer, content)

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def _check(self) -> None:
        """Raise ConfigError when no request can be made of the URL and the headers."""
        try:
            prepared = self._session.prepare_request(requests.Request("POST", self._url, data=b""))
            for value in prepared.headers.values():
                value.encode("ascii")
        except (requests.RequestException, ValueError) as error:
            raise ConfigError(f"url or headers: {type(error).__name__} for {self._place}") from None

    def _read(self, answer: requests.Response) -> bytes:
        """Return the answer's body as far as it comes in time and within the limit.

        Each piece is what one read of the socket gives, so that a receiver
        which sends a byte now and then does not hold the sink for ever.
        """
        deadline = time.monotonic() + self._timeout_secs
        content = bytearray()
        try:
            while len(content) < _ANSWER_BYTES and time.monotonic() < deadline:
                piece = answer.raw.read1(_CHUNK_BYTES, decode_content=False)
                if not piece:
                    break
                content += piece
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError):
            pass  # the status has come, and it decides; the body only explains it
        return bytes(content)

    def _refusal(self, answer: requests.Response, content: bytes) -> DeliveryError:
        status = answer.status_code
        said = printable(content[:_SHOWN_BYTES].strip().decode("utf-8", "surrogateescape"), _SHOWN_BYTES)
        message = f"{self._place}: HTTP {status}{': ' if said else ''}{said}"
        if status in _RETRY_STATUS or status >= 500:
            pause = retry_after_secs(answer.headers.get("Retry-After"), time.time())
            return DeliveryError(message, retry=True, retry_after_secs=pause)
        return DeliveryError(message, retry=False)


def _place(url: str) -> str:
    """Return scheme, host and port: the part of a URL that is no secret.

    Raises
    ------
    ConfigError
        It is no http or https URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("http", "https"):
        raise ConfigError("url: must be http:// or https:// with a host")
    return f"{parts.scheme}://{printable(host)}{f':{port}' if port else ''}"


def _cause(error: BaseException) -> str:
    """Return what went wrong in words that do not hold the URL, as the libraries' messages do."""
    kind = type(error).__name__
    seen: BaseException | None = error
    for _ in range(8):  # the chain of wrapped errors is four deep at most today
        if seen is None:
            break
        if isinstance(seen, OSError) and seen.strerror and not isinstance(seen, requests.RequestException):
            return printable(f"{kind}: {seen.strerror}")
        reason = getattr(seen, "reason", None) or next(
            (a for a in seen.args if isinstance(a, BaseException)), None
        )
        seen = reason if isinstance(reason, BaseException) else seen.__cause__ or seen.__context__
    return kind
