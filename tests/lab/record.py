"""Record the captures in `pcaps/`: the office for a while, then attacks at noted times.

Run as root, from the project's root::

    PYTHONPATH=tests python -m lab.record pcaps --ordinary-secs 1260

Everything is in one recording; the captures of ordinary traffic and of single
attacks are cut out of it by time, so their time stamps are as recorded.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from lab import attacks
from lab.attacks import Attack
from lab.capture import Recording
from lab.network import Network, missing_tools, sh
from lab.office import BEACON_SERVER, office_network, start_servers, start_traffic
from lab.traffic import SERVER

#: Bytes kept of each frame: enough for every header, a DNS answer and a TLS server name.
SNAPLEN = 256
_COLUMNS = ("start_epoch", "end_epoch", "kind", "label", "attacker", "victim", "packets", "capture")
TOOLS = (
    "tcpdump",
    "editcap",
    "nmap",
    "hping3",
    "hydra",
    "nginx",
    "dnsmasq",
    "sshd",
    "ssh",
    "curl",
    "openssl",
)
#: What the capture of one kind of attack is called.
_FILES = {
    "portscan:syn": "portscan.pcap",
    "ddos:synflood": "synflood.pcap.gz",  # many packets that are all alike
    "bruteforce-ssh": "bruteforce_ssh.pcap",
    "c2-beacon:https": "beacon.pcap",
}
#: Seconds after an attack in which its last answers come, and between attacks.
_MARGIN, _PAUSE = 5, 45


def run_attacks(network: Network, folder: Path) -> list[Attack]:
    """Run the beacon all along, and the scan, the flood and the guessing one after another beside it."""
    host = network.hosts
    steps: list[Callable[[], Attack]] = [
        lambda: attacks.syn_scan(host["attacker"], SERVER),
        lambda: attacks.syn_flood(host["attacker"], SERVER),
        lambda: attacks.ssh_brute_force(host["attacker"], SERVER, folder),
    ]
    calls, process = attacks.beacon(host["pc2"], BEACON_SERVER, seconds=420)
    done = [calls]
    for step in steps:
        time.sleep(_PAUSE)
        done.append(step())
        print(done[-1], flush=True)  # noqa: T201  (progress of a command-line tool)
    process.wait(timeout=600)
    calls.end = time.time()
    time.sleep(_PAUSE)
    return done


def expression_of(attack: Attack) -> str:
    """Return the tcpdump expression of an attack's own packets."""
    if attack.attacker == "-":  # spoofed sources: the attacked port, and anybody who is not of the office
        office = "net 10.20.0.0 mask 255.255.255.0"
        return f"host {attack.victim} and tcp port 80 and not (src {office} and dst {office})"
    return f"host {attack.attacker} and host {attack.victim}"


def cut(source: Path, target: Path, start: float, end: float, expression: str = "") -> int:
    """Copy the packets of a stretch of time, and of an expression, to a file; return how many there are.

    A target whose name ends in ``.gz`` is compressed.
    """
    part, plain = target.with_name(target.name + ".part"), target.with_suffix(".tmp")
    sh("editcap", "-F", "pcap", "-A", f"{start:.6f}", "-B", f"{end:.6f}", str(source), str(part))
    sh(
        "tcpdump",
        "-Z",
        "root",
        "-n",
        "-r",
        str(part),
        "-w",
        str(plain),
        *([expression] if expression else []),
    )
    part.unlink()
    count = int(sh("tcpdump", "-n", "-r", str(plain), "--count").split()[0])
    if target.suffix == ".gz":
        target.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
        plain.unlink()
    else:
        plain.replace(target)
    return count


def slice_captures(demo: Path, started: float, found: list[Attack]) -> None:
    """Cut ordinary traffic and each attack's own packets out of a recording, and write all labels."""
    folder = demo.parent
    cut(demo, folder / "office.pcap", started, min(attack.start for attack in found))
    write_labels(folder / "office.pcap", [])
    for attack in found:
        single = folder / _FILES[attack.label]
        attack.packets = cut(demo, single, attack.start, attack.end + _MARGIN, expression_of(attack))
        write_labels(single, [attack])
    write_labels(demo, found)


def write_labels(capture: Path, found: Iterable[Attack]) -> None:
    """Write the ground truth next to a capture (columns: `_COLUMNS`)."""
    rows = ["\t".join(_COLUMNS)]
    for attack in sorted(found, key=lambda item: item.start):
        times = (f"{attack.start:.6f}", f"{attack.end:.6f}")
        names = (attack.kind, attack.label, attack.attacker, attack.victim)
        rows.append("\t".join((*times, *names, str(attack.packets), capture.name)))
    name = capture.name.removesuffix(".gz").removesuffix(".pcap")
    capture.with_name(f"{name}.labels.tsv").write_text("\n".join(rows) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ordinary-secs", type=float, default=1260)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if reason := missing_tools(*TOOLS):
        raise SystemExit(reason)
    options.folder.mkdir(parents=True, exist_ok=True)
    demo = options.folder / "demo.pcap"
    with tempfile.TemporaryDirectory(prefix="lab-") as scratch, office_network() as network:
        folder = Path(scratch)
        start_servers(network, folder)
        with Recording(network.sensor, demo, snaplen=SNAPLEN) as recording:
            started = time.time()
            start_traffic(network, folder, options.ordinary_secs + 900, options.seed)
            time.sleep(options.ordinary_secs)
            found = run_attacks(network, folder)
        print(recording)  # noqa: T201
    slice_captures(demo, started, found)


if __name__ == "__main__":
    main()
