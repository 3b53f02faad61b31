"""Keys of what the engine does with packets: its sections of the configuration.

Defaults come from `sensor.settings`, so that they stand once.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from sensor.config.section import Section
from sensor.settings import EngineSettings

_ENGINE = EngineSettings()
_PACKET, _FLOW, _FEATURE = _ENGINE.packet, _ENGINE.flow, _ENGINE.feature
_MODEL, _ALERT = _ENGINE.model, _ENGINE.alert


def _is_network(text: str) -> str:
    """Return `text` when it is a network in CIDR notation."""
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{error}; a network looks like 10.0.0.0/8") from error
    return text


_Network = Annotated[str, AfterValidator(_is_network)]


class PacketConfig(Section):
    """What of a frame is looked at."""

    tunnels: Literal["inner", "outer"] = Field(
        default="inner", description="Judge the packet within tunnels, or what carries it."
    )
    duplicates: Literal["off", "on", "auto"] = Field(
        default="auto", description="Leave out copies that the mirror makes; auto: when it makes them."
    )
    duplicate_window_secs: float = Field(
        default=_PACKET.duplicate_window_secs,
        ge=0.0001,
        le=0.1,
        description="A copy comes within this time of its original.",
    )


class FlowConfig(Section):
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
    tunnel_in_key: bool = Field(
        default=_FLOW.tunnel_in_key, description="Same addresses in two tunnels are two flows."
    )


class FeatureConfig(Section):
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


class DetectorConfig(Section):
    """One further detector of River."""

    path: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")] = Field(
        description="Import path of the class, such as river.anomaly.LocalOutlierFactor."
    )
    parameters: dict[str, bool | int | float | str | None] = Field(
        default_factory=dict, description="Its keyword arguments."
    )


class ModelConfig(Section):
    """The anomaly models."""

    trees: int = Field(default=_MODEL.trees, ge=1, le=200, description="Trees of River's HalfSpaceTrees.")
    height: int = Field(default=_MODEL.height, ge=2, le=12, description="Height of each tree.")
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


class AlertConfig(Section):
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
