"""What is kept beside the kernels: made once, read back equal, made anew when it cannot be read."""

from __future__ import annotations

import numpy as np
import pytest

from sensor import memo


class Maker:
    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return np.arange(5, dtype=np.int32), np.full((2, 3), 0.1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(memo, "CACHE", tmp_path)
    return tmp_path


def equal(left, right):
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def test_is_made_once_for_each_key(folder):
    make = Maker()
    first = memo.kept("a", make)
    assert equal(first, memo.kept("a", make))
    assert make.calls == 1
    memo.kept("b", make)
    assert make.calls == 2
    assert not list(folder.glob("*.tmp"))


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 nonsense", None])
def test_what_cannot_be_read_is_made_anew(folder, damage):
    make = Maker()
    whole = memo.kept("a", make)
    (path,) = folder.glob("*.npz")
    path.write_bytes(path.read_bytes()[:-40] if damage is None else damage)
    assert equal(memo.kept("a", make), whole)
    assert make.calls == 2
    assert equal(memo.kept("a", make), whole)
    assert make.calls == 2


def test_nothing_is_unpickled(folder):
    make = Maker()
    memo.kept("a", make)
    (path,) = folder.glob("*.npz")
    with path.open("wb") as file:
        np.savez(file, np.array([{"a": 1}], dtype=object))
    assert equal(memo.kept("a", make), make())


def test_without_a_folder_it_is_made_each_time(monkeypatch):
    monkeypatch.setattr(memo, "CACHE", None)
    make = Maker()
    memo.kept("a", make)
    memo.kept("a", make)
    assert make.calls == 2


def test_a_folder_that_takes_no_files_does_no_harm(tmp_path, monkeypatch):
    monkeypatch.setattr(memo, "CACHE", tmp_path / "gone")
    assert equal(memo.kept("a", Maker()), Maker()())
