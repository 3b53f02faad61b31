"""The lab's standard office: who is there, what serves, what runs on each host."""

from __future__ import annotations

from pathlib import Path

from lab import programs
from lab.network import Network
from lab.traffic import NAS, SERVER, SITES

HOSTS = {
    "gateway": "10.20.0.1/24",
    "server": "10.20.0.10/24",
    "nas": "10.20.0.11/24",
    "pc1": "10.20.0.21/24",
    "pc2": "10.20.0.22/24",
    "pc3": "10.20.0.23/24",
    "pc4": "10.20.0.24/24",
    "admin": "10.20.0.30/24",
    "iot1": "10.20.0.41/24",
    "iot2": "10.20.0.42/24",
    "printer": "10.20.0.50/24",
    "attacker": "10.20.0.66/24",
}
#: The site addresses, in the order of `SITES`, then the one that a beacon calls.
OUTSIDE = [f"198.51.100.{10 + number}" for number in range(len(SITES))]
BEACON_SERVER = "203.0.113.66"

_PERSON = ("browse", "mail", "intranet", "keep_time", "announce")
ROLES = {
    "pc1": _PERSON,
    "pc2": _PERSON,
    "pc3": (*_PERSON, "poll_api", "print_pages"),
    "pc4": (*_PERSON, "print_pages"),
    "admin": ("browse", "administer", "watch", "keep_time"),
    "server": ("backup", "keep_time"),
    "nas": ("keep_time",),
    "iot1": ("sense", "keep_time"),
    "iot2": ("sense", "keep_time"),
}


def office_network() -> Network:
    """Return the office's network, not yet built (enter it)."""
    return Network(HOSTS, gateway="gateway", outside=[*OUTSIDE, BEACON_SERVER])


def start_servers(network: Network, folder: Path) -> None:
    """Start every server of the office; `folder` takes configurations, pages and logs."""
    hosts = network.hosts
    names = {f"www.{site}.example": address for site, address in zip(SITES, OUTSIDE, strict=True)}
    names |= {"intranet.lan": SERVER, "nas.lan": NAS}
    programs.dnsmasq(hosts["gateway"], folder / "dnsmasq", names)
    programs.service(hosts["gateway"], "ntp", port=123, flags="-lun")
    programs.nginx(hosts["outside"], folder / "outside", seed=1)
    programs.nginx(hosts["server"], folder / "server", seed=2)
    programs.service(hosts["server"], "mqtt", port=1883)
    programs.service(hosts["printer"], "sink", "9100", port=9100)
    key = programs.ssh_key(folder)
    programs.sshd(hosts["server"], folder / "sshd-server", key)
    programs.sshd(hosts["nas"], folder / "sshd-nas", key)


def start_traffic(network: Network, folder: Path, seconds: float, seed: int = 1) -> None:
    """Start every role of `ROLES`; each ends by itself after `seconds`."""
    for host, roles in ROLES.items():
        for role in roles:
            seed += 1
            log = folder / f"{host}-{role}.log"
            programs.python(
                network.hosts[host], "lab.traffic", role, str(seconds), str(seed), str(folder), log=log
            )
