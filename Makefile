# Every target sets up what it needs in .venv; `make help` lists them.
# Needs Python 3.11 or 3.12 with its venv module; name one yourself with PYTHON=...

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:  # targets share .venv

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

LOCK := CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --generate-hashes --strip-extras \
    $(if $(UPGRADE),--upgrade) --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

# A name on the path is not yet a Python that starts (version managers leave shims), and a Python that starts
# need not be able to make environments (some systems package ensurepip apart): each candidate is tried.
CANDIDATES := $(or $(PYTHON),python3.11 python3.12 python3)
USABLE := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 13))

# Installing compiles the modules that every event passes through (setup.py), so it is done anew when one changes.
# With NEXTMOVE_COMPILE=0 they run as they are, at a fraction of the speed.
INSTALLED_FROM := .venv/bin/python pyproject.toml setup.py \
    $(wildcard operators/*.py connectors/formats/*.py pipeline/*.py)

.PHONY: setup
setup: .venv/.installed-app  ## install the application: .venv/bin/nextmove

.PHONY: demo
demo: setup  ## generate a shop's day, run it live and sum it up
	@$(BIN)/nextmove demo

# Each worker has servers of its own, so more of them than this pay on machines with memory to spare only.
.PHONY: test
test: lint  ## lint, then run every test; WORKERS=n processes share them, 2 if nothing is said
	@$(BIN)/python -m pytest -q --numprocesses=$(or $(WORKERS),2) --dist=loadgroup

.PHONY: lint
lint: .venv/.installed-dev  ## ruff, mypy --strict, import contracts
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { echo "Cure: $(BIN)/ruff format" >&2; exit 1; }
	@$(BIN)/mypy
	@contracts=$$($(BIN)/lint-imports --no-logo) || { echo "$$contracts" >&2; exit 1; }

.PHONY: bench
bench: .venv/.installed-bench  ## measure events/s, CPU and memory beside the bare loops
	@$(BIN)/python -m benchmarks.run

.PHONY: simulate
simulate: .venv/.installed-dev  ## seeded runs with faults; SEED=n replays one, RUNS=n sets how many; RECORD=1
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED)) $(if $(RUNS),--runs $(RUNS)) $(if $(RECORD),--record)
	@$(if $(SEED),SEED=$(SEED)) $(if $(RUNS),RUNS=$(RUNS)) $(BIN)/python -m pytest -q tests/simulation/test_journeys.py

.PHONY: fuzz
fuzz: .venv/.installed-dev  ## spoilt records of every format: each an event or a dead letter; RECORDS=n SEED=n RECORD=1
	@$(BIN)/python -m tests.fuzz $(if $(SEED),--seed $(SEED)) $(if $(RECORDS),--records $(RECORDS)) $(if $(RECORD),--record)

.PHONY: fuzz-expressions
fuzz-expressions: .venv/.installed-dev  ## conditions beside Google's CEL: the same values; EXPRESSIONS=n SEED=n RECORD=1
	@$(BIN)/python -m tests.expressions $(if $(SEED),--seed $(SEED)) $(if $(EXPRESSIONS),--expressions $(EXPRESSIONS)) \
	    $(if $(RECORD),--record)

.PHONY: chaos
chaos: .venv/.installed-dev  ## kill and pause Kafka, Redis and nextmove under load; SHARDS=n FAULTS=n EDITS=n SEED=n RATE=n RECORD=1
	@$(BIN)/python -m tests.chaos $(if $(SHARDS),--shards $(SHARDS)) $(if $(FAULTS),--faults $(FAULTS)) \
	    $(if $(SEED),--seed $(SEED)) $(if $(RATE),--rate $(RATE)) $(if $(EDITS),--edits $(EDITS)) $(if $(RECORD),--record)

.PHONY: sip
sip: .venv/.installed-dev  ## place real calls with Debian's SIPp through its Kamailio, and look at their records; RECORD=1
	@$(BIN)/python -m tests.sip $(if $(RECORD),--record)

.PHONY: services
services: .venv/.installed-app  ## start Kafka and Redis at fixed addresses, to play with
	@$(BIN)/python -m tests.services start

.PHONY: services-stop
services-stop: .venv/.installed-app  ## stop them; their data stays in .services/play
	@$(BIN)/python -m tests.services stop

.PHONY: image-check
image-check: .venv/bin/python  ## do the Dockerfile's steps in a clean folder, without an engine
	@$(BIN)/python -m tests.image

.PHONY: lock
lock: .venv/bin/python  ## pin anew what the image is made of; UPGRADE=1 takes newer versions
	@$(PIP) install pip-tools
	@$(LOCK) --output-file requirements.lock pyproject.toml
	@$(LOCK) --only-build-deps --build-deps-for wheel --allow-unsafe --output-file requirements-build.lock pyproject.toml

.PHONY: help
help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: clean
clean:  ## remove .venv, out/, .services/ and caches
	@if [ -e .services/play ]; then $(MAKE) --no-print-directory services-stop; fi
	@rm -rf .venv .services out build dist *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find operators connectors pipeline . -maxdepth 2 -name '*.so' -not -path './.venv/*' -delete
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@for candidate in $(CANDIDATES); do \
	    if "$$candidate" -c '$(USABLE)' >/dev/null 2>&1; then exec "$$candidate" -m venv --clear .venv; fi; \
	done; \
	echo "No usable Python among: $(CANDIDATES)." >&2; \
	echo "Install Python 3.11 or 3.12 with its venv module, or name one: make PYTHON=/path/to/python3.11" >&2; \
	exit 1

.venv/.installed-app: $(INSTALLED_FROM)
	@$(PIP) install --editable .
	@touch $@

.venv/.installed-bench: $(INSTALLED_FROM)
	@$(PIP) install --editable '.[bench]'
	@touch .venv/.installed-app $@

.venv/.installed-dev: $(INSTALLED_FROM)
	@$(PIP) install --editable '.[dev]'
	@touch .venv/.installed-app .venv/.installed-bench $@
