"""Certificates for tests, made by openssl."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    cert: str
    key: str


class Authority:
    """A certificate authority made by openssl; its files live in `folder`."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder = folder
        self._count = 0
        self.cert = str(folder / f"{name}.pem")
        self.key = str(folder / f"{name}.key")
        folder.mkdir(parents=True, exist_ok=True)
        self._openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", f"/CN={name}", "-days", "2", "-keyout", self.key, "-out", self.cert),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )

    def issue(self, alternative_name: str = "DNS:localhost,IP:127.0.0.1", days: int = 2) -> Certificate:
        """Return a new certificate; negative `days` give one that has expired."""
        self._count += 1
        stem = self._folder / f"{Path(self.cert).stem}-leaf{self._count}"
        request, extensions = stem.with_suffix(".csr"), stem.with_suffix(".ext")
        issued = Certificate(str(stem.with_suffix(".pem")), str(stem.with_suffix(".key")))
        extensions.write_text(f"subjectAltName={alternative_name}\nkeyUsage=digitalSignature\n")
        self._openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", "/CN=leaf", "-keyout", issued.key, "-out", str(request)),
        )
        self._openssl(
            *("x509", "-req", "-in", str(request), "-CA", self.cert, "-CAkey", self.key),
            *("-CAcreateserial", "-days", str(days), "-extfile", str(extensions), "-out", issued.cert),
        )
        return issued

    @staticmethod
    def _openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=20)


def server_context(certificate: Certificate, client_ca: str | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
