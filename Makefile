# Everything goes through .venv, which every command makes when it is missing.

PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
WORKERS ?= 2

.PHONY: install quick test lint format speed mutants clean help

help:  ## Show the targets.
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

install: $(INSTALLED)  ## Make the environment; then type: . .venv/bin/activate

quick: $(INSTALLED)  ## Run the quick sweep and write its report.
	$(VENV)/bin/python run_all.py quick --workers $(WORKERS)

test: $(INSTALLED)  ## Run the whole test suite.
	$(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile

speed: $(INSTALLED)  ## Time the cells by engine and update ratio, and report it.
	$(VENV)/bin/python -m bench speed

mutants: $(INSTALLED)  ## Break the code on purpose and list what no test noticed: about an hour.
	$(VENV)/bin/python -m tests.mutants --workers $(WORKERS)

lint: $(INSTALLED)  ## Check style and types.
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(INSTALLED)  ## Rewrite the code in the project's style.
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean:  ## Remove the environment and caches; results and reports stay.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks build *.egg-info

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "skiprnn-bench needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
