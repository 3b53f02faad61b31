from __future__ import annotations

import pytest

from sensor.errors import ConfigError
from sensor.sinks.credential import locate, read_lines


def test_lines_without_space_around_them(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"  first \r\n\n second\n")
    assert read_lines(str(secret), "secret_file") == ["first", "second"]


def test_the_credentials_directory_is_filled_in(tmp_path, monkeypatch):
    (tmp_path / "token").write_text("t")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert locate("${CREDENTIALS_DIRECTORY}/token", "token_file") == tmp_path / "token"


def test_the_credentials_directory_must_be_there(monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError, match=r"token_file: .*LoadCredential="):
        locate("${CREDENTIALS_DIRECTORY}/token", "token_file")


def test_the_file_must_be_there(tmp_path):
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(ConfigError, match="ca_file"):
            locate(str(path), "ca_file")


def test_the_wrong_file_is_not_a_secret(tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"x" * 65_537)
    with pytest.raises(ConfigError, match="64 KiB"):
        read_lines(str(wrong), "token_file")
