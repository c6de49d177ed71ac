# `make` alone prints the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CARD ?=
# What a bundle is for: a Raspberry Pi by default.
ARCH ?= arm64
# Many tests wait for another process: one worker more than there are cores.
TEST_WORKERS ?= $(shell expr $$(nproc) + 1)

.DEFAULT_GOAL := help
.PHONY: help setup demo bundle release test faults check bench format clean

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

test: setup system-packages ## run all tests that need no virtual machine, side by side
	$(BIN)/pytest -n $(TEST_WORKERS) --dist worksteal

.PHONY: system-packages
system-packages: # the browser and the tools that tests compare with; installed where we may
	sh tests/system-packages.sh

.PHONY: appliance-test
appliance-test: setup ## install the bundle in a virtual machine; plug, swap and tear out cards; cut its power (root, Debian)
	$(BIN)/pytest tests/machine

.PHONY: appliance-core
appliance-core: setup ## the same, but only what every change must pass
	$(BIN)/pytest tests/machine -m core

check: setup ## lint, types, layers, shell scripts, lock
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/shellcheck tests/system-packages.sh tests/machine/system-packages.sh tests/machine/image/build.sh .ci/run
	$(BIN)/shellcheck --external-sources --source-path deploy/libexec deploy/*.sh deploy/ghostroll \
	  $$(grep -lx '#!/bin/sh' deploy/libexec/*)
	UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv lock --check --quiet

format: setup ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

faults: setup system-packages ## break everything many times over, and write the table in docs/reliability.md
	$(BIN)/pytest tests/faults --points 240 --table

.PHONY: frames
frames: setup ## draw the panel's frames that tests compare with, and the pictures and the table of docs/panel.md
	cd tests/display && ../../$(BIN)/python draw_frames.py

bench: setup ## measure the whole job beside a naive pipeline and the floor
	$(BIN)/python -m tests.bench

bundle: setup ## write dist/ghostroll-<version>-<arch>.tar.gz, which installs the appliance (ARCH=amd64, ARCH=arm64)
	deploy/bundle.sh $(ARCH)

release: setup ## commit, tag and bundle a version (VERSION=x.y.z); it pushes nothing
	deploy/release.sh $(VERSION)

.PHONY: coverage
coverage: setup system-packages ## run the tests and report which lines they reach, in the terminal and in htmlcov/
	$(BIN)/pytest -n $(TEST_WORKERS) --dist worksteal --cov --cov-report term:skip-covered --cov-report html

clean: ## remove what was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage htmlcov
