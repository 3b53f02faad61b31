from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.config.document import MAX_BYTES, parse_document, parse_value, read_document
from sensor.errors import ConfigError


def test_every_value_knows_its_line():
    document = parse_document(
        "# head\nflow:\n  capacity: 5000\nsinks:\n  - type: table\n\n  - type: jsonl\n", "c"
    )
    assert document.values == {"flow": {"capacity": 5000}, "sinks": [{"type": "table"}, {"type": "jsonl"}]}
    assert document.origin(("flow", "capacity")) == "c:3"
    assert document.origin(("sinks", 1)) == "c:7"
    assert document.origin(("sinks", 1, "path")) == "c:7", "what is not written is where its parent is"
    assert document.origin(("nothing", "here")) == "c:1"


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e-6", 1e-6), ("1.0e-6", 1e-6), ("5E3", 5e3), ("-2e+3", -2e3), (".5", 0.5), ("7", 7), ("0x10", 16)],
)
def test_numbers_are_numbers(text: str, number: float):
    value = parse_value(text)
    assert value == number
    assert type(value) is type(number)


@pytest.mark.parametrize("text", ["10.0.0.0/8", "1.2.3", "e5", "1e", "fe80::1"])
def test_other_words_stay_text(text: str):
    assert parse_value(text) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "c:3: a: stands here twice"),
        ("x:\n  a: 1\n  a: 3", "c:3: x.a: stands here twice"),
        ("a: [1", "c:1: is not valid YAML: expected ',' or ']'"),
        ("a: &x 1\nb: *x", "c:2: is not valid YAML: aliases are not supported"),
        ("- 1", "c:1: should be a mapping of sections"),
        ("just words", "c:1: should be a mapping of sections"),
        ("1: 2", "c:1: a key should be a word"),
        ("a: !!python/object:os.system x", "c:1: is not valid YAML: could not determine a constructor"),
        ("a: 2020-99-99", "c: is not valid YAML: month must be in"),
        ("a: \x01", "c: is not valid YAML: unacceptable character"),
        ("---\na: 1\n---\nb: 1", "c:3: is not valid YAML"),
        ("a: " + "[" * 9000, "c: nested too deeply"),
        ("a: " + "[" * 20 + "]" * 20, "c:1: nested too deeply"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(text: str, message: str):
    with pytest.raises(ConfigError) as raised:
        parse_document(text, "c")
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_no_text_is_an_empty_document():
    assert parse_document("", "c").values == {}
    assert parse_document("# only a comment\n", "c").values == {}


@given(st.text(max_size=300))
def test_any_text_is_values_or_one_line(text: str):
    try:
        assert isinstance(parse_document(text, "c").values, dict)
    except ConfigError as error:
        assert "\n" not in str(error)  # noqa: PT017  (any text may be right or wrong)


def test_a_file_that_is_no_configuration(tmp_path: Path):
    missing = tmp_path / "none.yaml"
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        read_document(missing)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_document(tmp_path)
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than"):
        read_document(large)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: 1\nb: \xff")
    with pytest.raises(ConfigError, match=r"binary\.yaml:2: is not UTF-8"):
        read_document(binary)
    with pytest.raises(ConfigError, match="/dev/zero: larger than"):
        read_document(Path("/dev/zero"))
