PYTHON ?= python3
JOBS ?= auto
UV := $(or $(shell command -v uv),.uv/bin/uv)
RUN := $(UV) run --no-sync
BENCHMARKS := $(wildcard benchmarks/*.py)
UPLOT := src/tallyline/web/static/vendor/uPlot.iife.min.js

export UV_PYTHON_DOWNLOADS = never

.NOTPARALLEL:
.PHONY: help python setup demo test lint docs bench

help:  ## say what there is to do
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: python $(UV)  ## put everything that the other verbs need into .venv
	@# uv remembers what it built: where the chart library has been removed since, it must build again
	@$(UV) sync --locked --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" \
		$(if $(wildcard $(UPLOT)),,--reinstall-package tallyline)

demo: setup  ## run a working company and show its page
	$(RUN) tallyline demo

test: lint docs  ## check everything, as CI does
	$(RUN) python -m tools.chromium
	$(RUN) python -m tools.airflow
	$(RUN) pytest --cov --numprocesses $(JOBS) --maxprocesses 4 --dist loadgroup --no-loadscope-reorder

lint: setup  ## check how the code is written and put together
	$(RUN) ruff format --check
	$(RUN) ruff check
	$(RUN) mypy
	$(RUN) lint-imports --no-logo
	$(RUN) deptry src

docs: setup  ## build the documentation into docs/_build
	$(RUN) sphinx-build -W --keep-going --quiet docs docs/_build

bench: setup  ## measure what a number costs
	@[ -n "$(BENCHMARKS)" ] || echo "There is no benchmark yet: benchmarks/ has no Python file."
	@set -e; for benchmark in $(BENCHMARKS); do $(RUN) "$$benchmark"; done

python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Tallyline needs Python 3.11 or newer, and $(PYTHON) is %d.%d. Name a newer one: make PYTHON=python3.13 ..." % sys.version_info[:2])'

.uv/bin/uv: | python
	@$(PYTHON) -m venv .uv || { echo "Python's venv is missing. Install it (Debian, Ubuntu: apt-get install python3-venv) or uv."; exit 1; }
	@.uv/bin/pip install --quiet uv
