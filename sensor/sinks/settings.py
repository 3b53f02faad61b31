"""The configuration of sinks: a list of these models stands under `sinks:`.

`type` picks the model; the other keys are the keyword names of the sink's
constructor, where they are explained, and `delivery`'s are `Delivery`'s.
Checked here is what can be checked on any machine; files are looked at when
the sink is built.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sensor.alert.alert import Observer
from sensor.formats.rfc5424 import FACILITIES
from sensor.sinks.delivery import Delivery, WhenFull
from sensor.sinks.sink import Sink
from sensor.sinks.syslog import DEFAULT_PORT

_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]
_File = Annotated[str, Field(min_length=1)]
_TimeoutSecs = Annotated[float, Field(gt=0, le=300, allow_inf_nan=False)]
_Secs = Annotated[float, Field(gt=0, le=604_800, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DeliverySettings(_Strict):
    """How alerts wait for a sink, see `Delivery`."""

    queue_alerts: int = Field(default=10_000, ge=1, le=1_000_000)
    retry_base_secs: _Secs = 1.0
    retry_cap_secs: _Secs = 300.0
    give_up_secs: _Secs = 86_400.0
    drain_secs: float = Field(default=10.0, ge=0, le=600, allow_inf_nan=False)

    @model_validator(mode="after")
    def _base_within_cap(self) -> Self:
        if self.retry_base_secs > self.retry_cap_secs:
            raise ValueError("retry_base_secs must not be larger than retry_cap_secs")
        return self

    def build(self, sink: Sink, when_full: WhenFull) -> Delivery:
        """Return a running `Delivery` for `sink`; ``block`` in replay, ``drop`` live."""
        return Delivery(sink, when_full=when_full, **self.model_dump())


class _Settings(_Strict):
    """What all sinks have in common."""

    #: Keys that are not the constructor's.
    _ours: ClassVar[set[str]] = {"type", "delivery"}

    type: str
    delivery: DeliverySettings = DeliverySettings()

    def build(self, observer: Observer) -> Sink:
        """Return the sink.

        Raises
        ------
        ConfigError
            A file it names cannot be used, or a value is malformed.
        """
        from sensor.sinks.shelf import SINKS  # noqa: PLC0415  (checking a file needs no sink)

        return SINKS[self.type](observer=observer, **self.model_dump(exclude=self._ours))

    def endpoint(self) -> tuple[str, int, Literal["tcp", "udp"]] | None:
        """Return whom the sink connects to: host, port and transport; None when it does not."""
        return None


class JsonlSettings(_Settings):
    """Lines of ECS JSON in a file, or on standard output, see `Jsonl`."""

    type: Literal["jsonl"]
    name: _Name = "jsonl"
    path: _File


class WebhookSettings(_Settings):
    """A POST of ECS JSON, see `Webhook`."""

    type: Literal["webhook"]
    name: _Name = "webhook"
    url: str = Field(pattern=r"^https?://[^\s/]")
    timeout_secs: _TimeoutSecs = 10.0
    headers: dict[str, str] = Field(default_factory=dict)
    ca_file: _File | None = None
    client_cert_file: _File | None = None
    client_key_file: _File | None = None
    token_file: _File | None = None
    secret_file: _File | None = None
    proxy_url: str | None = Field(default=None, pattern=r"^https?://[^\s/]")

    @model_validator(mode="after")
    def _key_needs_certificate(self) -> Self:
        _require_certificate(self.client_cert_file, self.client_key_file)
        return self

    def endpoint(self) -> tuple[str, int, Literal["tcp", "udp"]] | None:
        """Return the receiver or its proxy; None for a malformed URL, which `build` refuses."""
        url = urlsplit(self.proxy_url or self.url)
        try:
            port = url.port or {"http": 80, "https": 443}[url.scheme.lower()]
        except ValueError:
            return None
        return (url.hostname, port, "tcp") if url.hostname else None


class SyslogSettings(_Settings):
    """RFC 5424 messages, see `Syslog`."""

    type: Literal["syslog"]
    name: _Name = "syslog"
    host: str = Field(pattern=r"^[^\s/]{1,253}$")
    port: int | None = Field(default=None, ge=1, le=65_535)
    transport: Literal["udp", "tcp", "tls"] = "udp"
    facility: str = Field(default="local0", pattern=f"^({'|'.join(FACILITIES)})$")
    timeout_secs: _TimeoutSecs = 10.0
    max_bytes: int | None = Field(default=None, ge=2048, le=65_000)
    ca_file: _File | None = None
    client_cert_file: _File | None = None
    client_key_file: _File | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.transport != "tls" and (self.ca_file or self.client_cert_file):
            raise ValueError("ca_file and client_cert_file need transport: tls")
        _require_certificate(self.client_cert_file, self.client_key_file)
        return self

    def endpoint(self) -> tuple[str, int, Literal["tcp", "udp"]]:
        """Return the receiver."""
        port = self.port or DEFAULT_PORT[self.transport]
        return self.host, port, "udp" if self.transport == "udp" else "tcp"


class TableSettings(_Settings):
    """Lines for people on standard output, see `Table`."""

    type: Literal["table"]
    name: _Name = "table"


#: One entry of the configuration's list of sinks.
SinkSettings = Annotated[
    JsonlSettings | WebhookSettings | SyslogSettings | TableSettings, Field(discriminator="type")
]


def _require_certificate(certificate: str | None, key: str | None) -> None:
    if key and not certificate:
        raise ValueError("client_key_file needs client_cert_file")
