"""Every key of the configuration: its type, its range, its default and what it is for.

The models are frozen and strict: nothing is coerced, nothing unknown is taken.
Defaults of the engine come from `sensor.settings`, so that they stand once.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from sensor.settings import (
    AlertSettings,
    EngineSettings,
    FeatureSettings,
    FlowSettings,
    ModelSettings,
)
from sensor.sinks.settings import SinkSettings

_ENGINE = EngineSettings()
_FLOW, _FEATURE, _MODEL, _ALERT = _ENGINE.flow, _ENGINE.feature, _ENGINE.model, _ENGINE.alert

_MEBIBYTE = 1 << 20
#: Longest BPF text taken: a filter is a line, not a program.
_BPF_CHARACTERS = 4096


def _is_network(text: str) -> str:
    """Return `text` when it is a network in CIDR notation."""
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{error}; a network looks like 10.0.0.0/8") from error
    return text


_Network = Annotated[str, AfterValidator(_is_network)]


class _Section(BaseModel):
    """What all sections share."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class SensorConfig(_Section):
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


class CaptureConfig(_Section):
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
        default=1, ge=1, le=16, description="Rings that the kernel fills side by side, each of ring_bytes."
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


class FlowConfig(_Section):
    """The flow table: its size and its patience."""

    capacity: int = Field(
        default=_FLOW.capacity,
        ge=1024,
        le=1 << 24,
        description="Most flows at a time; the oldest idle one goes first.",
    )
    idle_timeout_secs: float = Field(
        default=_FLOW.idle_timeout_secs,
        ge=1.0,
        le=86_400.0,
        description="A silent flow ends after this time.",
    )
    unanswered_timeout_secs: float = Field(
        default=_FLOW.unanswered_timeout_secs,
        ge=1.0,
        le=86_400.0,
        description="The same for a flow nobody answered.",
    )
    active_timeout_secs: float = Field(
        default=_FLOW.active_timeout_secs,
        ge=1.0,
        le=86_400.0,
        description="A long flow is reported this often.",
    )
    linger_secs: float = Field(
        default=_FLOW.linger_secs,
        ge=0.001,
        le=60.0,
        description="A closed TCP connection waits so long for late packets.",
    )
    vlan_in_key: bool = Field(
        default=_FLOW.vlan_in_key, description="Same addresses in two VLANs are two flows."
    )


class FeatureConfig(_Section):
    """The host table and its windows."""

    window_secs: float = Field(
        default=_FEATURE.window_secs,
        ge=1.0,
        le=3600.0,
        description="Each host is judged once in this packet time.",
    )
    hosts: int = Field(
        default=_FEATURE.hosts,
        ge=256,
        le=1 << 22,
        description="Most hosts at a time; the one not seen longest goes first.",
    )
    half_life_secs: float = Field(
        default=_FEATURE.half_life_secs,
        ge=1.0,
        le=2_592_000.0,
        description="What a host did counts half after this time.",
    )


class DetectorConfig(_Section):
    """One further detector of River."""

    path: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")] = Field(
        description="Import path of the class, such as river.anomaly.LocalOutlierFactor."
    )
    parameters: dict[str, bool | int | float | str | None] = Field(
        default_factory=dict, description="Its keyword arguments."
    )


class ModelConfig(_Section):
    """The anomaly models."""

    trees: int = Field(default=_MODEL.trees, ge=1, le=200, description="Trees of River's HalfSpaceTrees.")
    height: int = Field(default=_MODEL.height, ge=2, le=15, description="Height of each tree.")
    window_rows: int = Field(
        default=_MODEL.window_rows,
        ge=50,
        le=100_000,
        description="Learned rows after which the reference is replaced.",
    )
    scaler_rows: int = Field(
        default=_MODEL.scaler_rows, ge=50, le=100_000, description="Rows that fix the scale of the features."
    )
    gate_p: float = Field(
        default=_MODEL.gate_p, ge=1e-9, le=0.5, description="A row less likely than this is not learned."
    )
    lessons_per_window: int = Field(
        default=_MODEL.lessons_per_window,
        ge=10,
        le=100_000,
        description="Rows a window that are learned, at most.",
    )
    detectors: Annotated[tuple[DetectorConfig, ...], Field(strict=False, max_length=16)] = Field(
        default=(), description="Further River detectors that join in."
    )


class AlertConfig(_Section):
    """When to speak, and how often."""

    p_value: float = Field(
        default=_ALERT.p_value, ge=1e-12, le=0.1, description="A row less likely than this is an anomaly."
    )
    home_networks: Annotated[tuple[_Network, ...], Field(strict=False, max_length=1024)] = Field(
        default=_ALERT.home_networks, description="Your own networks; everything else is outside."
    )
    update_interval_secs: float = Field(
        default=_ALERT.update_interval_secs,
        ge=1.0,
        le=86_400.0,
        description="An open incident is reported this often.",
    )
    close_after_secs: float = Field(
        default=_ALERT.close_after_secs,
        ge=1.0,
        le=86_400.0,
        description="An incident without news is closed after this time.",
    )


def _have_own_names(sinks: tuple[SinkSettings, ...]) -> tuple[SinkSettings, ...]:
    """Return `sinks` when no two share a name: counters and logs tell them apart by it."""
    names = [sink.name for sink in sinks]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two sinks are called {name}; give each a name of its own")
    return sinks


class LoggingConfig(_Section):
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


class Config(_Section):
    """The whole configuration."""

    sensor: SensorConfig = SensorConfig()
    capture: CaptureConfig = CaptureConfig()
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
            flow=FlowSettings(**dict(self.flow)),
            feature=FeatureSettings(**dict(self.feature)),
            model=ModelSettings(**model),
            alert=AlertSettings(**dict(self.alert)),
        )
