from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sensor import kernel

PACKAGE = Path(kernel.__file__).parent

SHOW_CACHE = "import sensor.kernel as k; print(k.CACHE)"


def cache_of(folder: Path, **environment: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", SHOW_CACHE],
        env={**os.environ, "SENSOR_CACHE_DIR": str(folder), **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return answer.stdout.strip()


def test_the_cache_is_a_folder_of_ours(tmp_path: Path):
    folder = tmp_path / "kernels" / kernel.source_hash()
    assert cache_of(tmp_path) == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_cache_that_others_can_write_to_is_refused(tmp_path: Path):
    folder = tmp_path / "kernels" / kernel.source_hash()
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert cache_of(tmp_path) == "None"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_cache_of_somebody_else_is_refused(tmp_path: Path):
    folder = tmp_path / "kernels" / kernel.source_hash()
    folder.mkdir(parents=True, mode=0o700)
    os.chown(folder, 12345, 12345)
    assert cache_of(tmp_path) == "None"


def test_a_cache_that_cannot_be_made_is_done_without(tmp_path: Path):
    (tmp_path / "kernels").write_text("a file in the way")
    assert cache_of(tmp_path) == "None"


def test_the_users_choice_wins(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SENSOR_CACHE_DIR", raising=False)
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert kernel.cache_root() == Path("/xdg/span-sensor/kernels")
    monkeypatch.setenv("CACHE_DIRECTORY", "/var/cache/sensor")
    assert kernel.cache_root() == Path("/var/cache/sensor/kernels")
    monkeypatch.setenv("SENSOR_CACHE_DIR", "/mine")
    assert kernel.cache_root() == Path("/mine/kernels")


def test_every_file_with_kernels_is_in_the_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An edit of any of them must name another cache folder: numba does not follow calls across files."""
    for path in PACKAGE.rglob("*.py"):
        copy = tmp_path / path.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    monkeypatch.setattr(kernel, "_PACKAGE", tmp_path)
    monkeypatch.setattr(kernel, "__file__", str(tmp_path / "kernel.py"))
    before = kernel.source_hash()
    missed = []
    for path in tmp_path.rglob("*.py"):
        if "@kernel\n" not in path.read_text():
            continue
        source = path.read_bytes()
        path.write_bytes(source + b"\n# edited\n")
        if kernel.source_hash() == before:
            missed.append(path.name)
        path.write_bytes(source)
    assert not missed


def test_a_kernel_divides_by_zero_like_numpy():
    @kernel.kernel
    def ratio(a: float, b: float) -> float:
        return a / b

    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        pytest.skip("plain Python raises; kernels check before they divide where it matters")
    assert ratio(1.0, 0.0) == np.inf
    assert np.isnan(ratio(0.0, 0.0))


def test_kernels_may_not_trade_exactness_for_speed():
    called = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(Path(kernel.__file__).read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "numba.njit"
    ]
    assert len(called) == 1
    assert "fastmath" not in called[0]
    assert "nogil=True" in called[0]
