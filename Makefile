# Everything goes through .venv, which every command makes when it is missing.

PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed
WORKERS ?= 2
ROUNDS ?= 1000
RAY_ROUNDS ?= 100
SWEEP ?= quick
RESULTS ?= results
REPORTS ?= reports
# The sweeps of results/reference.
EVIDENCE := digits frameworks ablations-skips table1-cpu table1-cpu-budget table1-cpu-longer table2-cpu table4-cpu

.PHONY: install quick test test-slow test-tracking lint format speed mutants soak paper evidence report clean help

help:  ## Show the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

install: $(INSTALLED)  ## Make the environment; then type: . .venv/bin/activate

quick: $(INSTALLED)  ## Run the quick sweep and write its report.
	$(VENV)/bin/python run_all.py quick --workers $(WORKERS)

test: $(INSTALLED)  ## Run the test suite.
	$(VENV)/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

test-slow: $(INSTALLED)  ## Run the tests that take too long for every change.
	$(VENV)/bin/python -m pytest -m slow --numprocesses 2 --dist load

test-tracking: $(INSTALLED)  ## Install MLflow and test the export to a server of it.
	$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt \
		--editable '.[dev,tracking]' mlflow
	$(VENV)/bin/python -m pytest tests/bench/report/test_exports.py

speed: $(INSTALLED)  ## Time the cells by engine and update ratio, and report it.
	$(VENV)/bin/python -m bench speed

mutants: $(INSTALLED)  ## Break the code on purpose and list what no test noticed: about an hour.
	$(VENV)/bin/python -m tests.mutants --workers $(WORKERS)

soak: $(INSTALLED)  ## Disturb small sweeps ROUNDS times (1000), RAY_ROUNDS (100) on clusters, and check them: hours.
	$(VENV)/bin/python -m tests.faults --rounds $(ROUNDS) --workers $(WORKERS)
	$(VENV)/bin/python -m tests.faults --on ray --rounds $(RAY_ROUNDS) --workers $(WORKERS)
	$(VENV)/bin/python -m tests.faults.points

evidence: $(INSTALLED)  ## Run what is missing of results/reference (all of it, a day, once that is deleted).
	@test ! -d results/reference || $(VENV)/bin/python -m bench merge results results/reference
	@for sweep in $(EVIDENCE); do \
		$(VENV)/bin/python run_all.py $$sweep --no-report --workers $(WORKERS) || exit 1; \
		$(VENV)/bin/python -m bench archive $$sweep || exit 1; \
	done
	$(VENV)/bin/python -m bench card
	@test -f results/reference/speed/benchmarks.json || $(VENV)/bin/python -m bench speed --results results/reference
	$(MAKE) report

report: $(INSTALLED)  ## Write reports/reference from the committed records, WORKERS (2) at a time.
	@$(VENV)/bin/python -m bench speed --report-only --results results/reference --reports reports/reference & \
		$(VENV)/bin/python -m bench report $(EVIDENCE) --workers $(WORKERS) \
		--results results/reference --reports reports/reference && wait $$!

paper: $(INSTALLED)  ## Report a sweep (SWEEP=quick, RESULTS=results) and typeset its article, reports/<sweep>/paper.pdf.
	@command -v latexmk > /dev/null || { echo "make paper needs latexmk and TeX Live; on Debian or Ubuntu:" \
		"apt-get install latexmk texlive-latex-recommended texlive-fonts-recommended" >&2; exit 1; }
	$(VENV)/bin/python -m bench report $(SWEEP) --results $(RESULTS) --reports $(REPORTS)
	cd $(REPORTS)/$(SWEEP) && latexmk -pdf -quiet -interaction=nonstopmode -halt-on-error paper.tex
	@echo "article: $(REPORTS)/$(SWEEP)/paper.pdf"

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
	$(VENV)/bin/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable '.[dev,triton,cluster]'
	touch $@
