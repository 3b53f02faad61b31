"""Every key of the configuration: its type, its range, its default and what it is for.

The models are frozen and strict: nothing is coerced, nothing unknown is taken.
Defaults of the engine come from `sensor.settings`, so that they stand once.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from sensor.config.analysis import AlertConfig, FeatureConfig, FlowConfig, ModelConfig, PacketConfig
from sensor.config.section import Section
from sensor.settings import (
    AlertSettings,
    EngineSettings,
    FeatureSettings,
    FlowSettings,
    ModelSettings,
    PacketSettings,
)
from sensor.sinks.settings import SinkSettings

_ENGINE = EngineSettings()

_MEBIBYTE = 1 << 20
#: Longest BPF text taken: a filter is a line, not a program.
_BPF_CHARACTERS = 4096


class SensorConfig(Section):
    """Who this sensor is."""

    name: Annotated[str, StringConstraints(max_length=255, pattern=r"^[!-~]*$")] = Field(
        default="", description="Name in every alert; empty: the host name."
    )
    seed: int = Field(
        default=_ENGINE.seed,
        ge=0,
        le=2**63 - 1,
        description="Seed of every random choice; same seed, same alerts.",
    )


class CaptureConfig(Section):
    """The interface and its ring in kernel memory."""

    interface: Annotated[str, StringConstraints(max_length=15, pattern=r"^[^/\s]*$")] = Field(
        default="", description="Interface that receives the mirrored traffic; -i wins."
    )
    bpf: str = Field(
        default="", max_length=_BPF_CHARACTERS, description="Filter of tcpdump syntax; empty: every packet."
    )
    promiscuous: bool = Field(
        default=True, description="Take frames for other stations, as a mirror port needs."
    )
    snaplen: int = Field(default=65_535, ge=96, le=262_144, description="Bytes kept of each packet.")
    ring_bytes: int = Field(
        default=64 * _MEBIBYTE,
        ge=_MEBIBYTE,
        le=4096 * _MEBIBYTE,
        description="Kernel ring; what a pause may fill.",
    )
    block_bytes: int = Field(
        default=_MEBIBYTE,
        ge=65_536,
        le=64 * _MEBIBYTE,
        description="One batch; a power of two, a part of the ring.",
    )
    block_timeout_secs: float = Field(
        default=0.1, ge=0.001, le=0.2, description="A block that is not full is handed over after this time."
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=16,
        description="Rings filled side by side, and threads that meter flows.",
    )
    exclude_own: bool = Field(
        default=True, description="Leave out the sensor's own connections to its sinks."
    )

    @model_validator(mode="after")
    def _blocks_fit(self) -> CaptureConfig:
        if self.block_bytes & (self.block_bytes - 1):
            raise ValueError("block_bytes should be a power of two")
        if self.ring_bytes % self.block_bytes or self.ring_bytes < 2 * self.block_bytes:
            raise ValueError("ring_bytes should be block_bytes times 2 or more, without a rest")
        return self


def _have_own_names(sinks: tuple[SinkSettings, ...]) -> tuple[SinkSettings, ...]:
    """Return `sinks` when no two share a name: counters and logs tell them apart by it."""
    names = [sink.name for sink in sinks]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two sinks are called {name}; give each a name of its own")
    return sinks


class LoggingConfig(Section):
    """The sensor's own log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is written."
    )
    format: Literal["console", "json"] = Field(
        default="console", description="For people, or one JSON object a line."
    )
    statistics_secs: float = Field(
        default=60.0, ge=1.0, le=86_400.0, description="A live sensor logs a line of statistics this often."
    )


class Config(Section):
    """The whole configuration."""

    sensor: SensorConfig = SensorConfig()
    capture: CaptureConfig = CaptureConfig()
    packet: PacketConfig = PacketConfig()
    flow: FlowConfig = FlowConfig()
    feature: FeatureConfig = FeatureConfig()
    model: ModelConfig = ModelConfig()
    alert: AlertConfig = AlertConfig()
    sinks: Annotated[
        tuple[SinkSettings, ...], Field(strict=False, max_length=64), AfterValidator(_have_own_names)
    ] = Field(default=(), description="Where alerts go; none: standard output.")
    logging: LoggingConfig = LoggingConfig()

    @model_validator(mode="before")
    @classmethod
    def _empty_section_is_default(cls, values: object) -> object:
        """Let a section whose keys are all commented out stand for its defaults."""
        if isinstance(values, dict):
            return {key: value for key, value in values.items() if value is not None}
        return values

    def engine_settings(self) -> EngineSettings:
        """Return what the engine needs of this, as plain values."""
        model = dict(self.model)
        model["detectors"] = tuple((one.path, dict(one.parameters)) for one in self.model.detectors)
        return EngineSettings(
            seed=self.sensor.seed,
            packet=PacketSettings(**dict(self.packet)),
            flow=FlowSettings(**dict(self.flow)),
            feature=FeatureSettings(**dict(self.feature)),
            model=ModelSettings(**model),
            alert=AlertSettings(**dict(self.alert)),
        )
