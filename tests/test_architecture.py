"""The house rules, read from the sources: who may import whom, and how large things get."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "sensor"
FILES = sorted(PACKAGE.rglob("*.py"))

#: Imports go to a lower floor, or to the same part.
FLOORS = {
    "sensor": 0,  # the version
    "errors": 0,
    "kernel": 0,
    "settings": 0,
    "memo": 0,
    "siphash": 0,
    "packet": 1,
    "flow": 1,
    "feature": 1,
    "model": 1,
    "alert": 1,
    "engine": 2,
    "metering": 2,
    "detection": 2,
    "telemetry": 2,
    "sources": 3,
    "sinks": 3,
    "formats": 3,
    "archive": 3,
    "config": 3,
    "log": 3,
    "signals": 3,
    "systemd": 3,
    "warm_up": 3,
    "line": 4,
    "crew": 4,
    "heartbeat": 4,
    "preflight": 4,
    "printer": 4,
    "app": 4,
    "export": 4,
    "cli": 5,
    "__main__": 5,
}

#: On floors 1 and 3 parts do not import one another, but for these modules:
#: a neighbour's data, and the edges' one-way ties.
NEIGHBOURS = {
    "flow": {"packet.columns", "packet.batch", "packet.claim", "packet.first_bytes"},
    "feature": {"packet.columns", "packet.batch", "flow.record"},
    "model": set(),
    "alert": {"flow.record", "feature.schema", "feature.row"},
    "memo": {"kernel"},
    "siphash": {"kernel"},
    "metering": set(),
    "detection": {"metering"},
    "engine": {"metering", "detection"},
    "telemetry": {"engine"},
    "sinks": {"formats"},
    "config": {"sinks.settings"},
    "sources": set(),
    "formats": set(),
    "archive": set(),
}

#: Floors 0 to 2 know no clock, no system and no chance.
FORBIDDEN_BELOW_EDGES = {"time", "datetime", "os", "socket", "threading", "asyncio", "logging", "random"}
#: kernel names the cache folder, which is the system's.
ALLOWED_BELOW_EDGES = {"kernel": {"os"}}

#: State is arrays and JSON: nothing that runs what it reads.
FORBIDDEN_EVERYWHERE = {"pickle", "cloudpickle", "joblib", "shelve", "marshal", "dill"}
FORBIDDEN_CALLS = {"eval", "exec", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system"}
#: Slow and of another licence: only where a filter is compiled.
SCAPY_ALLOWED = {"sources/bpf.py"}

#: Tops of threads, where a defect is recorded and made visible.
BROAD_EXCEPT_ALLOWED = {"sinks/delivery.py", "cli/program.py"}

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 50
MAX_KERNEL_LINES = 70
MAX_PARAMETERS = 6
FORBIDDEN_NAMES = re.compile(r"^(utils?|common|helpers?|misc)$|manager$|handler$", re.IGNORECASE)

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def part(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    name = relative.parts[0].removesuffix(".py")
    return "sensor" if name == "__init__" else name


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yield every module that is imported, anywhere in the file, and the line."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            assert node.module
            for alias in node.names:
                is_module = (
                    (ROOT / (node.module + "." + alias.name).replace(".", "/")).with_suffix(".py").exists()
                )
                yield (f"{node.module}.{alias.name}" if is_module else node.module), node.lineno


def functions(path: Path) -> Iterator[FunctionNode]:
    yield from (node for node in ast.walk(tree(path)) if isinstance(node, FunctionNode))


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def is_kernel(function: FunctionNode) -> bool:
    return any(isinstance(one, ast.Name) and one.id == "kernel" for one in function.decorator_list)


def code_lines(function: FunctionNode) -> int:
    """Lines from `def` to the end, without the docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def test_every_part_has_a_floor():
    assert {part(path) for path in FILES} <= set(FLOORS)


def test_imports_go_down():
    wrong = []
    for path in FILES:
        here = part(path)
        for module, line in imports(path):
            if module.split(".")[0] != "sensor" or module == "sensor":
                continue
            inner = module.removeprefix("sensor.")
            there = inner.split(".")[0]
            if there == here or FLOORS[there] < FLOORS[here]:
                continue
            if FLOORS[here] >= 4 and FLOORS[there] == FLOORS[here]:
                continue
            tied = NEIGHBOURS.get(here, set())
            if FLOORS[there] == FLOORS[here] and (inner in tied or there in tied):
                continue
            wrong.append(f"{place(path, line)}: {here} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_the_core_knows_no_clock_no_system_and_no_chance():
    wrong = [
        f"{place(path, line)}: {module}"
        for path in FILES
        if FLOORS[part(path)] <= 2
        for module, line in imports(path)
        if module.split(".")[0] in FORBIDDEN_BELOW_EDGES - ALLOWED_BELOW_EDGES.get(part(path), set())
    ]
    assert not wrong, "\n".join(wrong)


def test_nothing_can_run_what_it_reads():
    wrong = []
    for path in FILES:
        wrong += [
            f"{place(path, line)}: {module}"
            for module, line in imports(path)
            if module.split(".")[0] in FORBIDDEN_EVERYWHERE
        ]
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in FORBIDDEN_CALLS:
                wrong.append(f"{place(path, node.lineno)}: {ast.unparse(node.func)}")
            if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "shell"):
                value = node.value
                if not (isinstance(value, ast.Constant) and value.value is False):
                    wrong.append(f"{place(path, node.value.lineno)}: {node.arg}")
    assert not wrong, "\n".join(wrong)


def test_scapy_stays_where_filters_are_compiled():
    wrong = [
        place(path, line)
        for path in FILES
        if path.relative_to(PACKAGE).as_posix() not in SCAPY_ALLOWED
        for module, line in imports(path)
        if module.split(".")[0] == "scapy"
    ]
    assert not wrong, "\n".join(wrong)


def test_only_thread_tops_catch_everything():
    wrong = []
    for path in FILES:
        if path.relative_to(PACKAGE).as_posix() in BROAD_EXCEPT_ALLOWED:
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ExceptHandler):
                caught = "everything" if node.type is None else ast.unparse(node.type)
                passed_on = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
                if not passed_on and re.search(r"\b(everything|Exception|BaseException)\b", caught):
                    wrong.append(f"{place(path, node.lineno)}: except {caught}")
    assert not wrong, "\n".join(wrong)


def test_files_are_short():
    sizes = {place(path, 1): len(path.read_text().splitlines()) for path in FILES}
    assert not {name: lines for name, lines in sizes.items() if lines > MAX_FILE_LINES}


def test_functions_are_short():
    wrong = [
        f"{place(path, function.lineno)}: {function.name} has {code_lines(function)} lines"
        for path in FILES
        for function in functions(path)
        if code_lines(function) > (MAX_KERNEL_LINES if is_kernel(function) else MAX_FUNCTION_LINES)
    ]
    assert not wrong, "\n".join(wrong)


def positional(function: FunctionNode) -> int:
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def test_parameters_are_few():
    """A constructor whose keywords are configuration keys may have as many as there are keys."""
    wrong = [
        f"{place(path, function.lineno)}: {function.name} has {positional(function)}"
        for path in FILES
        if part(path) != "cli"
        for function in functions(path)
        if positional(function) > MAX_PARAMETERS and function.name != "__init__"
    ]
    assert not wrong, "\n".join(wrong)


def test_kernels_are_made_in_one_place():
    wrong = [
        f"{place(path, line)}: {module}"
        for path in FILES
        if part(path) != "kernel"
        for module, line in imports(path)
        if module.split(".")[0] == "numba"
    ]
    assert not wrong, "\n".join(wrong)


def test_names_say_what_a_thing_is():
    wrong = [str(path.relative_to(ROOT)) for path in FILES if FORBIDDEN_NAMES.search(path.stem)]
    for path in FILES:
        wrong += [
            f"{place(path, node.lineno)}: {node.name}"
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ClassDef) and FORBIDDEN_NAMES.search(node.name)
        ]
    assert not wrong, "\n".join(wrong)


def test_package_files_are_docstrings():
    for path in PACKAGE.glob("*/__init__.py"):
        body = tree(path).body
        assert len(body) == 1, f"{place(path, 1)}: more than a docstring"
        assert ast.get_docstring(tree(path)), place(path, 1)


def test_every_folder_is_a_package():
    folders = {path.parent for path in FILES}
    assert all((folder / "__init__.py").exists() for folder in folders)


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX", "HACK"])
def test_nothing_is_left_for_later(word: str):
    found = [
        place(path, number)
        for path in FILES
        for number, text in enumerate(path.read_text().splitlines(), 1)
        if re.search(rf"\b{word}\b", text)
    ]
    assert not found


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "systemd/README.md"])
def test_pages_name_files_that_exist(page: str):
    text = (ROOT / page).read_text()
    named = set(re.findall(r"`((?:sensor|tests|systemd|\.ci)/[\w./@-]*)`", text))
    named |= {link for link in re.findall(r"\]\(([\w./-]+)\)", text) if not link.startswith("http")}
    assert not {
        name
        for name in named
        if not (ROOT / page).parent.joinpath(name).exists() and not (ROOT / name).exists()
    }
