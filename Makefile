# Set-up, demonstration and checks of a fresh checkout; `make` alone lists what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check

PARTS := node chromium slurmctld munged
PACKAGES := nodejs chromium slurmctld slurmd slurm-client munge
MISSING = $$(for part in $(PARTS); do command -v $$part >/dev/null || echo $$part; done)

.DEFAULT_GOAL := help
.PHONY: help install demo gui test format clean

help:  ## list what can be made
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

install: $(INSTALLED)  ## make the environment .venv with the commands isonet and isonet.py

demo: $(INSTALLED)  ## restore two simulated tomograms and compare them with the truth, in demo/
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/demo.sh demo

gui: $(INSTALLED)  ## open the demonstration, or its untouched data, as a project in the browser
	@PATH="$(CURDIR)/$(BIN):$$PATH" bash examples/gui.sh demo

test: $(INSTALLED)  ## run all checks: ruff, mypy, import contracts, node's tests, pytest
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@[ -z "$(MISSING)" ] || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
	  { apt-get update -qq && apt-get install -qq -y --no-install-recommends $(PACKAGES) >/dev/null; } || true
	@for part in $(MISSING); do echo "no $$part: tests are left out (Debian has it in $(PACKAGES))"; done
	@! command -v node >/dev/null || node --test tests/js
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -rs --durations 40 --numprocesses 2 --dist loadfile

format: $(INSTALLED)  ## put the code into its standard form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment, the caches and the demonstration
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer is needed and $(PYTHON) is not: install one and name it, as in: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "$(PYTHON) cannot make environments: install its venv package, as in: apt install python3-venv" >&2; exit 1; }
	@echo "Installing into $(VENV), once; torch is large, so this takes some minutes."
	@$(PIP) install --quiet -c constraints.txt --upgrade pip
	@$(PIP) install --quiet -c constraints.txt --editable ".[formats,gui,cluster]" --group dev
	@touch $@
