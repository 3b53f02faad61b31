from __future__ import annotations

import shutil

import pytest
from certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def stranger(tmp_path_factory, authority):  # noqa: ARG001  (skips where openssl is absent)
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="session")
def server_certificate(authority):
    return authority.issue()


@pytest.fixture(scope="session")
def expired_certificate(authority):
    return authority.issue(days=-1)


@pytest.fixture(scope="session")
def foreign_name_certificate(authority):
    return authority.issue("DNS:other.example")


@pytest.fixture(scope="session")
def client_certificate(authority):
    return authority.issue("DNS:sensor.example")
