# make install, make demo, make test: the README says what each does.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
VERTICAL ?= finance
SCALE ?= local
CORPUS ?=

.PHONY: help install demo test test-e2e lint format lock clean

help:  ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1: /p' Makefile

install:  ## the two environments, the tests' browser and database, each only when its lock has changed
	@infra/install.sh all

demo: install  ## one vertical from documents to served students (VERTICAL, SCALE, CORPUS=folder)
	@$(PYTHON) -m flows.cli demo $(VERTICAL) --scale $(SCALE) $(if $(CORPUS),--corpus "$(CORPUS)")

test: install lint  ## every check, then the default tests
	$(PYTHON) -m pytest -m "not e2e"

test-e2e: install  ## the real model, vLLM, Prefect and browser, few steps each
	$(PYTHON) -m pytest -m e2e

lint: install  ## formatting, lint, types, import contracts, recipes
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/stillroom validate

format: install  ## what ruff can mend by itself
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

lock: install  ## resolve infra/requirements.in again
	infra/lock.sh

clean:  ## caches, never artifacts or the ledger
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +
