# Two commands on a fresh machine with Python 3.11+ and nothing else: `make demo` and `make test`.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUN_DEV := $(VENV)/.installed-dev
RUN_DEMO := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo test test-slow lint audit format bench bench-search metrology chaos soak base base-cooldown base-gates \
	clean help

help:
	@echo "make demo       install into $(VENV), run the whole thing on simulated worlds, print where the front is"
	@echo "make test       install, then the tests (under 15 minutes on two cores)"
	@echo "make lint       ruff, mypy, and what is known against the pinned packages; audit: fails if anything is"
	@echo "make bench      speed and memory, as ratios in one run; bench-search: samplers on known problems"
	@echo "make base       train the shipped base by its recipe (core-hours); base-cooldown: a model of it; base-gates: its gates"
	@echo "make test-slow | chaos | soak | metrology    the tests that take longer"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade "pip>=25"

$(RUN_DEMO): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet -c constraints.txt -e .
	@touch $@

$(RUN_DEV): pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet -c constraints.txt -e ".[dev]"
	@touch $@ $(RUN_DEMO)

demo:
	@start=$$(date +%s); $(MAKE) --no-print-directory $(RUN_DEMO) || exit 1; \
	$(BIN)/drivereplay demo --setup-seconds $$(( $$(date +%s) - start ))

test: $(RUN_DEV)
	$(BIN)/python -m pytest

test-slow: $(RUN_DEV)
	$(BIN)/python -m pytest -m slow --timeout 1800

chaos: $(RUN_DEV)
	$(BIN)/python -m pytest -m chaos --timeout 3600

soak: $(RUN_DEV)
	$(BIN)/python -m pytest -m soak --timeout 7200

metrology: $(RUN_DEV)
	$(BIN)/python -m pytest -m metrology --timeout 7200

lint: $(RUN_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python cluster/audit.py

audit: $(RUN_DEV)
	$(BIN)/python cluster/audit.py --strict

format: $(RUN_DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(RUN_DEV)
	@for file in $(filter-out tests/bench/bench_search.py,$(wildcard tests/bench/bench_*.py)); do \
		echo "## $$file"; $(BIN)/python $$file || exit 1; done

bench-search: $(RUN_DEV)
	$(BIN)/python tests/bench/bench_search.py

# The shipped base, by its recipe: stops and goes on at any time. HOURS are core-hours in all; BASE is kept between calls.
BASE ?= experiments/runs/base
SIZE ?= base
RECIPE := OMP_NUM_THREADS=1 $(BIN)/python experiments/recipes/base

base: $(RUN_DEMO)
	$(RECIPE)/train.py --out $(BASE)/$(SIZE) --size $(SIZE) $(if $(HOURS),--hours $(HOURS))

base-cooldown: $(RUN_DEMO)
	$(RECIPE)/train.py --out $(BASE)/$(SIZE) --size $(SIZE) --cooldown $(MINUTES)

base-gates: $(RUN_DEMO)
	$(RECIPE)/gates.py $(or $(MODEL),$(BASE)/$(SIZE)/cooldown/model) --work $(BASE)/gates

clean:
	rm -rf $(VENV) build dist platform/*.egg-info dashboards/*.egg-info
