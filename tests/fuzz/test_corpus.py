"""What the fuzzer kept, through plain, compiled and bounds-checked kernels: equal, and nothing raises."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def forms():
    """Return the module `forms`, which stands beside this file."""
    sys.path.insert(0, str(HERE))
    try:
        import forms  # noqa: PLC0415  (found by the path above alone)
    finally:
        sys.path.remove(str(HERE))
    return forms


@pytest.fixture(scope="module")
def results(forms):
    return {form: forms.replay(form) for form in forms.FORMS}


def test_every_target_has_a_corpus(results):
    counted = {}
    for target, _ in results["plain"]:
        counted[target] = counted.get(target, 0) + 1
    kept = {path.stem for path in (HERE / "corpus").glob("*.hex")}
    assert set(counted) == kept
    assert min(counted.values()) >= 10


def test_all_forms_of_the_kernels_give_the_same_and_none_raises(forms, results):
    assert len({len(values) for values in results.values()}) == 1
    assert forms.differing(results) == []


def test_a_difference_is_seen(forms):
    """The comparison itself can fail: another value, an input that raises, one that was not run."""
    plain = {("frame", "00"): "1", ("frame", "01"): "2", ("meter", "02"): "3"}
    compiled = {
        ("frame", "00"): "1",
        ("frame", "01"): "4",
        ("meter", "02"): "RAISED IndexError: out of bounds",
    }
    assert forms.differing({"plain": plain, "compiled": plain}) == []
    assert forms.differing({"plain": plain, "compiled": compiled}) == [
        "frame compiled differs from plain: 01",
        "meter compiled: RAISED IndexError: out of bounds: 02",
    ]
