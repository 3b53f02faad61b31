"""What the engine can be told, as plain frozen values.

`config` reads these from YAML and checks the ranges; the stages below get only
the values they use. Defaults stand here, once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: Private and link-local space (RFC 1918, 4193, 3927, 4291, 6598).
PRIVATE_NETWORKS = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
)


@dataclass(frozen=True, slots=True)
class PacketSettings:
    """What of a frame is looked at."""

    #: "inner": the packet within tunnels; "outer": what carries it.
    tunnels: str = "inner"
    #: "off", "on", or "auto": copies that the mirror makes are left out once it is seen to make them.
    duplicates: str = "auto"
    duplicate_window_secs: float = 0.01


@dataclass(frozen=True, slots=True)
class FlowSettings:
    """The flow table: its size and its patience."""

    capacity: int = 262_144
    idle_timeout_secs: float = 60.0
    unanswered_timeout_secs: float = 30.0
    active_timeout_secs: float = 300.0
    linger_secs: float = 5.0
    vlan_in_key: bool = True
    tunnel_in_key: bool = False


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """The host table and its windows."""

    window_secs: float = 10.0
    hosts: int = 65_536
    half_life_secs: float = 1800.0


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """The anomaly models."""

    trees: int = 10
    height: int = 8
    window_rows: int = 500
    scaler_rows: int = 500
    gate_p: float = 1e-3
    lessons_per_window: int = 100
    #: Further River detectors: (import path, keyword arguments).
    detectors: tuple[tuple[str, dict[str, object]], ...] = ()


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """When to speak, and how often."""

    p_value: float = 1e-4
    home_networks: tuple[str, ...] = PRIVATE_NETWORKS
    update_interval_secs: float = 300.0
    close_after_secs: float = 300.0


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Everything the engine needs to give the same alerts for the same packets."""

    seed: int = 1
    packet: PacketSettings = field(default_factory=PacketSettings)
    flow: FlowSettings = field(default_factory=FlowSettings)
    feature: FeatureSettings = field(default_factory=FeatureSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    alert: AlertSettings = field(default_factory=AlertSettings)
