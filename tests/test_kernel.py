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


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_cache_in_a_folder_that_others_can_write_to_is_refused(tmp_path: Path, mode: int, depth: int):
    """They could put another folder in the place of ours."""
    root = tmp_path / "a" / "b"
    root.mkdir(parents=True)
    (root / "kernels").mkdir()
    parent = (root / "kernels" / "hash").parents[depth - 1]
    parent.chmod(mode)
    assert cache_of(root) == "None"
    parent.chmod(0o755)
    assert cache_of(root) == str(root / "kernels" / kernel.source_hash())


def test_a_sticky_folder_above_the_cache_is_no_danger(tmp_path: Path):
    """In one like /tmp everybody can make folders, and only move his own."""
    root = tmp_path / "shared" / "mine"
    root.mkdir(parents=True)
    root.parent.chmod(0o1777)
    assert cache_of(root) == str(root / "kernels" / kernel.source_hash())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("mode", [0o755, 0o1777])
def test_a_cache_in_a_folder_of_somebody_else_is_refused(tmp_path: Path, mode: int):
    root = tmp_path / "theirs"
    root.mkdir()
    root.chmod(mode)
    os.chown(root, 12345, 12345)
    assert cache_of(root) == "None"


def test_a_link_is_judged_by_where_it_leads(tmp_path: Path):
    open_to_all = tmp_path / "open"
    (open_to_all / "inner").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(open_to_all / "inner")
    assert cache_of(link) == str(open_to_all / "inner" / "kernels" / kernel.source_hash())
    open_to_all.chmod(0o777)
    assert cache_of(link) == "None"


def test_links_in_a_circle_are_done_without(tmp_path: Path):
    (tmp_path / "kernels").symlink_to(tmp_path / "kernels")
    assert cache_of(tmp_path) == "None"


def test_folders_are_made_for_us_alone_whatever_the_umask(tmp_path: Path):
    before = os.umask(0)
    try:
        folder = Path(cache_of(tmp_path / "new" / "newer"))
    finally:
        os.umask(before)
    made = [path for path in (folder, *folder.parents) if tmp_path in path.parents]
    assert len(made) == 4
    assert all(path.stat().st_mode & 0o777 == 0o700 for path in made)


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


@pytest.mark.parametrize("library", ["numba", "llvmlite", "numpy"])
def test_another_version_of_a_library_is_another_folder(monkeypatch: pytest.MonkeyPatch, library: str):
    before = kernel.source_hash()
    true_version = kernel.version
    monkeypatch.setattr(
        kernel, "version", lambda name: true_version(name) + ("+1" if name == library else "")
    )
    assert kernel.source_hash() != before


def test_another_python_is_another_folder(monkeypatch: pytest.MonkeyPatch):
    before = kernel.source_hash()
    monkeypatch.setattr(sys, "version", sys.version + "+1")
    assert kernel.source_hash() != before


def test_each_setting_of_numba_is_another_folder(monkeypatch: pytest.MonkeyPatch):
    for variable in ("NUMBA_BOUNDSCHECK", "NUMBA_DISABLE_JIT", "NUMBA_OPT"):
        monkeypatch.delenv(variable, raising=False)
    hashes = {kernel.source_hash()}
    for variable, value in (("NUMBA_BOUNDSCHECK", "1"), ("NUMBA_DISABLE_JIT", "1"), ("NUMBA_OPT", "1")):
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            hashes.add(kernel.source_hash())
    assert len(hashes) == 4


def test_where_the_cache_stands_does_not_name_it(monkeypatch: pytest.MonkeyPatch):
    """The variable is set on import: what comes later must find the same folder."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/one")
    before = kernel.source_hash()
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/two")
    assert kernel.source_hash() == before


_CHECKED = """
import numpy as np
from sensor.kernel import kernel
@kernel
def read(a, i):
    return a[i]
@kernel
def outer(a, i):
    return read(a[1:], i)
assert outer(np.arange(4), 2) == 3
try:
    outer(np.arange(4), 3)
except IndexError:
    print("checked")
"""


def test_bounds_can_be_checked_inside_kernels_that_are_inlined(tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text(_CHECKED)
    answer = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "SENSOR_CACHE_DIR": str(tmp_path), "NUMBA_BOUNDSCHECK": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert answer.stdout == "checked\n"


def test_a_kernel_cannot_allocate():
    @kernel.kernel
    def double(a: np.ndarray) -> float:
        return (a + a)[0]

    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        pytest.skip("plain Python allocates at will")
    with pytest.raises(Exception, match="NRT"):
        double(np.ones(3))


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
    assert len(called) == 2  # into each caller, and outlined
    for options in called:
        assert "fastmath" not in options
        assert "nogil=True" in options
