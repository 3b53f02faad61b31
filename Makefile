# span-sensor. `make replay` is the one-minute start; `make help` lists the rest.
# Empty: the first of python3, python3.13, python3.12 and python3.11 that fits.
PYTHON ?=
VENV   := .venv
BIN    := $(VENV)/bin
PCAP   ?= pcaps/demo.pcap
SECS   ?= 60

.DEFAULT_GOAL := help
.PHONY: help replay install dev tools test lint bench bench-live fuzz clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

replay: install ## replay a bundled capture: alerts as a table and in alerts.jsonl, then a summary
	$(BIN)/sensor replay $(PCAP) -o alerts.jsonl

install: $(VENV)/.installed ## make .venv and install the sensor into it

dev: $(VENV)/.dev ## the same, with what tests, lint and exports need

$(VENV)/.installed: pyproject.toml
	PYTHON="$(PYTHON)" sh .ci/venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml
	PYTHON="$(PYTHON)" sh .ci/venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed

tools: ## install the programs the tests drive (as root with apt; skipped elsewhere)
	@sh .ci/tools

test: dev tools ## run every test
	$(BIN)/python -m pytest

lint: dev ## ruff and mypy, as strict as pyproject.toml says
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: dev tools ## measure stages, memory and other programs on one capture, on this machine
	$(BIN)/python tests/bench/bench.py

bench-live: dev tools ## as root: measure what the sensor and other programs receive and lose on a virtual cable
	$(BIN)/python tests/bench/live.py

fuzz: dev ## fuzz each parser for SECS seconds (60), two at a time, and keep what reaches new code
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	$(BIN)/python tests/fuzz/fuzz.py --secs $(SECS)

clean: ## remove what was built
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis alerts.jsonl stats.json
	find sensor tests -type d -name __pycache__ -prune -exec rm -rf {} +
