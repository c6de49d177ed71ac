# `make` alone prints the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CARD ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench format clean

help: ## print the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: $(VENV)/.ready ## make the virtual environment with everything in it

# uv comes from the index like any other package, and is itself in the lock.
$(VENV)/.ready: pyproject.toml uv.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.8"
	UV_PROJECT_ENVIRONMENT=$(VENV) UV_PYTHON_DOWNLOADS=never $(BIN)/uv sync --locked --quiet
	touch $@

demo: setup ## do the main job on a sample card (CARD=/media/... takes a real one) and serve it
	$(BIN)/ghostroll demo $(if $(CARD),--card "$(CARD)")

test: setup system-packages ## run all tests that need no virtual machine
	$(BIN)/pytest

.PHONY: system-packages
system-packages: # the browser and the tools that tests compare with; installed where we may
	sh tests/system-packages.sh

check: setup ## lint, types, layers, shell scripts, lock
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/shellcheck tests/system-packages.sh .ci/run
	UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv lock --check --quiet

format: setup ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

bench: setup ## measure the whole job beside a naive pipeline and the floor
	$(BIN)/python -m tests.bench

clean: ## remove what was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
