# Everything happens in .venv, made from requirements.txt on first use. Another Python: make PYTHON=python3.12 test

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup setup-language quickstart test evidence bench clean

export PYTHON
BIN := .venv/bin

# One thread a process: two test processes share the cores better than either does with all of them.
ONE_THREAD := XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1" \
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 POLARS_MAX_THREADS=1

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## create .venv and install the pinned requirements, if that is still to be done
	@scripts/setup.sh

setup-language: setup
	@scripts/setup.sh language

quickstart: setup ## learn from a small dataset, then from the world, and write a report (5 minutes)
	@$(BIN)/headstart quickstart

test: setup-language ## style, types and tests
	@scripts/install_browser.sh
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/pyright
	@$(ONE_THREAD) $(BIN)/pytest -n 2

evidence: setup-language ## rerun every paper's experiment and write evidence/
	@$(BIN)/headstart papers prove --all

bench: setup-language ## install the peers and rerun the comparisons of benchmarks/
	@benchmarks/peers.sh
	@$(BIN)/python -m benchmarks

clean: ## remove the environments and caches; runs and evidence stay
	rm -rf .venv .venvs .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
