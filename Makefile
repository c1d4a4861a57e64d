# One list of commands; CI and people run the same ones. `make help` explains them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV_VERSION := 0.13.8
export OMP_NUM_THREADS := 1
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev browser demo test check fmt lint types imports architecture unit contract system chaos chaos-long dask-long kafka redis bench bench-kafka docs lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-14s %s\n", $$1, $$2}'

$(VENV)/.runtime: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	@$(BIN)/uv pip install -q --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@$(BIN)/uv pip install -q --python $(BIN)/python --compile-bytecode --require-hashes -r requirements-dev.lock
	@touch $@

# Compiled once, before anything could do it twice; what changes later, whoever runs it compiles anew.
$(VENV)/.kernels: $(VENV)/.runtime
	@echo "Compiling the kernels for this machine, about a minute of CPU."
	@$(BIN)/python -m services.warming
	@touch $@

setup: $(VENV)/.runtime $(VENV)/.kernels  ## a virtual environment with `headrace` in .venv/bin
setup-dev: $(VENV)/.dev  ## the same with the tools for tests

demo: setup  ## the whole loop on two and a half years of half-hours, about two minutes
	@echo "Running examples/electricity: events in, predictions out, drift, retraining, swap."
	@$(BIN)/headrace run examples/electricity/problem.yaml --data-dir .headrace/demo --fresh --port 0
	@echo "Look at it in a browser: $(BIN)/headrace run examples/electricity/problem.yaml --data-dir .headrace/demo --stay"

test: setup-dev browser  ## everything that proves it works (CI runs this); without Kafka or Redis those tests are skipped
	@$(MAKE) --no-print-directory check
	$(PYTEST) tests/architecture tests/unit tests/contract -m "slow or browser" --ignore-glob="*kafka*" -n 2 --dist loadfile
	$(PYTEST) tests/system tests/chaos --ignore-glob="*kafka*" -n 2 --dist loadfile --durations=15
	$(PYTEST) $(wildcard tests/*/test_*kafka*.py) --durations=15

check: setup-dev $(VENV)/.kernels  ## lint, types, imports, architecture, unit, contract: before each commit
	@$(MAKE) --no-print-directory lint types imports
	$(PYTEST) tests/architecture tests/unit tests/contract -m "not slow and not browser" --ignore-glob="*kafka*" -n 2

lint: setup-dev  ## ruff: style and banned calls
	$(BIN)/ruff check --no-cache services shared tests examples
	$(BIN)/ruff format --no-cache --check services shared tests examples

fmt: setup-dev  ## put the code in its format
	$(BIN)/ruff check --fix services shared tests examples
	$(BIN)/ruff format services shared tests examples

types: setup-dev  ## mypy --strict
	$(BIN)/mypy

imports: setup-dev  ## import contracts
	$(BIN)/lint-imports --no-cache

architecture unit contract system chaos: setup-dev  ## one folder of tests
	$(PYTEST) tests/$@

kafka: setup-dev  ## on a real Kafka (Docker, or Java with Maven): the log's contract, the client's traps, whole processes, doctor
	$(PYTEST) tests/contract tests/system -k kafka

chaos-long: setup-dev  ## the long lane on Kafka: 200 kills of each stateful service, a million events; over an hour
	HEADRACE_CHAOS=long $(PYTEST) tests/chaos/test_kafka_faults.py -s

dask-long: setup-dev  ## 200 fits on Dask, a worker killed every 5 seconds: none lost, none twice, all as in process
	HEADRACE_DASK=long $(PYTEST) tests/chaos/test_dask_workers.py -s

fuzz-long: setup-dev  ## two million arbitrary and near-valid events through validator and featurizer, 200,000 through all windows beside pandas; an hour of CPU
	HEADRACE_FUZZ_EVENTS=2000000 $(PYTEST) tests/unit/validator/test_fuzz_stream.py --durations=1
	HEADRACE_FUZZ_WINDOWS=200000 $(PYTEST) tests/unit/features/test_windows_more.py -k five_thousand --durations=1

redis: setup-dev  ## the online view on a real Redis (Docker, the PATH, or a wheel): killed, emptied, paused, full
	$(PYTEST) tests/contract/test_online.py tests/contract/test_online_redis.py tests/unit/console/test_online_view.py tests/unit/console/test_lookups.py

bench: setup-dev  ## CPU an event beside a plain River ARF(10) loop, as JSON
	$(BIN)/python -m tests.bench.whole_system

bench-kafka: setup-dev  ## the score path on Kafka beside a bare relay and Quix Streams (in an environment of its own)
	@test -x .cache/quix/bin/python || { $(PYTHON) -m venv .cache/quix && \
	  $(BIN)/uv pip install -q --python .cache/quix/bin/python quixstreams==3.28.1 river pandas pyarrow; }
	$(BIN)/python -m tests.bench.kafka_score
	$(BIN)/python -m tests.bench.kafka_load

docs: setup-dev  ## write the generated parts of docs/
	$(BIN)/python -m tests.architecture.generated --write

browser: setup-dev  ## a Chromium for the page's tests, where the machine lets us install one
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || \
	  echo "no Chromium: the page's tests will be skipped (install the package chromium)"

lock: setup-dev  ## resolve the dependencies anew
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --python-version 3.11 pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --python-version 3.11 pyproject.toml --group dev -o requirements-dev.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --python-version 3.11 --group build -o requirements-build.lock

clean:  ## remove what was built
	rm -rf $(VENV) .cache .headrace .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find services shared -name '*.nb[ic]' -delete
