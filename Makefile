# Two commands for a newcomer: `make demo` and `make test`. Each sets up all it needs.
.DEFAULT_GOAL := help
.PHONY: help demo test setup python java lint types layers unit nights real docs wheel clean

VENV ?= .venv
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	>/dev/null 2>&1 && echo $$p && break; done)
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OLD_SPARK := build/pyspark-4.0
# Small tests are mostly Spark planning on one core: two processes, each with its own session.
PYTEST := PYSPARK_40=$(abspath $(OLD_SPARK)) $(BIN)/python -m pytest -n 2 --durations=15

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: setup  ## Generate a shop's logs and run the night on them, end to end
	$(BIN)/behavior-spark demo

test: setup  ## Everything CI checks
	@# While Spark 4.0 is fetched, types are checked.
	$(MAKE) --jobs=2 lint types layers $(OLD_SPARK)/.installed
	$(PYTEST)

setup: java $(STAMP)  ## Virtual environment with all dependencies

python:
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or later is needed: none of python3.11, python3.12, python3.13, python3 is one"; exit 2; }

java: python
	@$(PYTHON) -m behavior_spark.io.java

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -m behavior_spark.io.class_archive
	@touch $(STAMP)

lint: setup  ## Ruff: style and format of imports
	$(BIN)/ruff check .

types: setup  ## Mypy, strict
	$(BIN)/mypy

layers: setup  ## Import layers
	$(BIN)/lint-imports

unit: setup  ## Tests and doctests of the rooms, without whole commands
	$(PYTEST) -m 'not real and not night'

nights: setup  ## Tests of whole commands on small logs
	$(PYTEST) -m night

real: setup $(OLD_SPARK)/.installed  ## The slow group: real logs, the demo night, other Sparks
	$(PYTEST) -m real

# Spark 4.0 with its Delta beside the environment's own, for one test of the slow group.
$(OLD_SPARK)/.installed:
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(OLD_SPARK) \
		pyspark==4.0.1 delta-spark==4.0.1 py4j==0.10.9.9
	@touch $@

docs: setup  ## The documentation into site/; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

wheel: setup  ## Build the wheel into dist/
	$(BIN)/python -m build --wheel

clean:  ## Remove what was built, and all tables and models below build/ (the environment stays)
	rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis spark-warehouse
