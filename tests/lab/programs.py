"""Real servers for the lab's hosts, configured in a scratch folder and started in a namespace."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from lab.network import Host, sh, wait_until

TESTS = Path(__file__).resolve().parents[1]
#: Objects a page may need; their sizes are drawn once, from a heavy tail.
OBJECTS = 40


def python(host: Host, module: str, *argv: str, log: Path | None = None) -> subprocess.Popen[bytes]:
    """Start ``python -m module`` in a namespace, with this folder's modules importable."""
    return host.start(sys.executable, "-m", module, *argv, log=log, env={"PYTHONPATH": str(TESTS)})


def listens(host: Host, port: int, flags: str = "-ltn") -> None:
    """Wait until something is bound to `port` in the host's namespace."""
    wait_until(lambda: f":{port} " in host.run("ss", flags))


def web_pages(folder: Path, seed: int, median_bytes: int = 4000) -> None:
    """Write an index and `OBJECTS` objects whose sizes are log-normal, cut at 60 kB."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    folder.joinpath("index.html").write_bytes(rng.randbytes(min(int(rng.lognormvariate(8.3, 0.5)), 20_000)))
    for number in range(OBJECTS):
        size = min(int(median_bytes * rng.lognormvariate(0, 1.2)), 60_000)
        folder.joinpath(f"{number}.bin").write_bytes(rng.randbytes(size))


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a throw-away self-signed certificate and its key."""
    key, cert = folder / "tls.key", folder / "tls.crt"
    sh(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-days", "7", "-subj", f"/CN={name}", "-keyout", str(key), "-out", str(cert)),
    )
    return cert, key


def nginx(host: Host, folder: Path, seed: int = 1) -> None:
    """Serve generated pages over HTTP (80) and HTTPS (443), and ``/api/status`` as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    web_pages(folder / "www", seed)
    cert, key = certificate(folder, f"{host.name}.example")
    config = folder / "nginx.conf"
    config.write_text(f"""
daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; default_type application/octet-stream; keepalive_timeout 20s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 80; listen 443 ssl; ssl_certificate {cert}; ssl_certificate_key {key};
    root {folder}/www;
    location = /api/status {{ default_type application/json; return 200 '{{"state":"ok","queue":3}}'; }}
    location = /upload {{ client_max_body_size 64m; return 204; }}
  }}
}}
""")
    host.start("nginx", "-p", str(folder), "-c", str(config), log=folder / "nginx.log")
    listens(host, 443)


def dnsmasq(host: Host, folder: Path, records: Mapping[str, str]) -> None:
    """Answer for `records` (name to IPv4 address) and say NXDOMAIN for everything else."""
    folder.mkdir(parents=True, exist_ok=True)
    names = folder / "hosts"
    names.write_text("".join(f"{address} {name}\n" for name, address in records.items()))
    host.start(
        *(
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--user=root",
        ),
        *(f"--addn-hosts={names}", "--local-ttl=120", "--pid-file=", "--bind-interfaces", "--cache-size=0"),
        *("--local=/example/", "--local=/lan/", f"--listen-address={host.address}"),
        log=folder / "dnsmasq.log",
    )
    listens(host, 53, "-lun")


def ssh_key(folder: Path) -> Path:
    """Make a throw-away key pair and return the private key's path."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = folder / "id_ed25519"
    if not key.exists():
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(key))
    return key


def sshd(host: Host, folder: Path, key: Path) -> None:
    """Serve SSH inside the namespace only: `key` may log in, passwords are asked for and never match."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    host_key = ssh_key(folder / "host")
    config = folder / "sshd_config"
    config.write_text(f"""
ListenAddress {host.address}:22
HostKey {host_key}
AuthorizedKeysFile {key}.pub
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication yes
AllowUsers {os.environ.get("USER", "root")} admin
PidFile none
Subsystem sftp internal-sftp
""")
    # sshd wants an empty /run/sshd. `ip netns exec` gives each command mounts of its own, so nothing is left.
    prepare = "mount -t tmpfs -o mode=755 lab /run && mkdir -m 755 /run/sshd"
    serve = f'{prepare} && exec /usr/sbin/sshd -D -e -f "$0"'
    host.start("sh", "-c", serve, str(config), log=folder / "sshd.log")
    listens(host, 22)


def service(host: Host, name: str, *argv: str, port: int, flags: str = "-ltn") -> None:
    """Start one of `lab.services` and wait for its port."""
    python(host, "lab.services", name, *argv)
    listens(host, port, flags)
