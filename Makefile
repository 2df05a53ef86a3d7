# Every target sets up what it needs; what is set up already costs nothing the second time.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON := $(firstword $(foreach each,python3 python3.14 python3.13 python3.12 python3.11,\
	$(if $(filter ok,$(shell $(each) -c '$(ENOUGH)' 2>/dev/null && echo ok)),$(each))))

VENV := .venv/.ready
CHAIN := node_modules/.ready
CONTRACTS := .venv-contracts/.ready
SOURCES := contracts bench/contracts tests/kernel/contracts
BENCH := .venv-bench/.ready
UV := .venv/bin/uv
INSTALL := $(UV) pip sync --quiet --require-hashes
PYTEST := .venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile
QUIET_NPM := --no-audit --no-fund --loglevel=error

.PHONY: help demo test check bench faults test-15 ha-trial contracts locks clean

help:
	@echo "make demo      a market on this machine, and a whole trade in it (ONCE=1: and then end)"
	@echo "make test      everything that CI runs"
	@echo "make check     style, types, import rules, built contracts; no test"
	@echo "make bench     the measurements"
	@echo "make faults    kills, reorganisations and made-up calls, in full"
	@echo "make test-15   the tests on an installed PostgreSQL 15"
	@echo "make ha-trial  the primary of three is killed under load, again and again"
	@echo "make contracts builds the contracts from their sources"
	@echo "make locks     writes the lock files anew"
	@echo "make clean     removes what was set up, and the demo's data"

demo: export ENTREPOT_HOME ?= $(CURDIR)/.entrepot
demo: $(VENV) $(CHAIN)
	@.venv/bin/entrepot demo $(if $(ONCE),--once)

# What a test needs and npm and pip have not; without it that test is skipped, and says so.
OPTIONAL := redis-server pgbouncer chromium
TELL_MISSING := for each in $(OPTIONAL); do PATH=$$PATH:/usr/sbin command -v $$each >/dev/null \
	|| echo "without $$each some tests are skipped; on Debian: apt install $$each" >&2; done
test: $(VENV) $(CHAIN) $(CONTRACTS)
	@$(TELL_MISSING)
	$(PYTEST)
	.venv-contracts/bin/python -m pytest tests/contracts

check: $(VENV) $(CONTRACTS)
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo
	.venv-contracts/bin/python contracts/build.py --check $(SOURCES)

# wrk is the load generator; of the peers, PostGraphile is installed by npm in its own folder, and Synapse by pip beside
# the measured data.
bench: $(BENCH) $(CHAIN)
	@command -v wrk >/dev/null || apt-get install -y -qq wrk \
		|| { echo "wrk is missing; on Debian: apt install wrk" >&2; exit 1; }
	.venv-bench/bin/python -m bench

faults: $(VENV) $(CHAIN)
	@$(TELL_MISSING)
	FAULTS=full .venv/bin/python -m pytest --timeout 3600 tests/faults tests/kernel/live/test_idle_sockets.py \
		tests/apps/escrow/test_schemathesis.py tests/apps/chat/test_schemathesis.py
	POOLER=1 .venv/bin/python -m pytest --timeout 600 tests/journeys
	CACHE=1 .venv/bin/python -m pytest --timeout 600 tests/journeys
	POOLER=1 CACHE=1 REPLICA=1 .venv/bin/python -m pytest --timeout 600 tests/journeys

# On Debian's PostgreSQL 15, the oldest that the house takes; POSTGRES names the programs of another one.
POSTGRES ?= /usr/lib/postgresql/15/bin
test-15: $(VENV) $(CHAIN)
	@test -x $(POSTGRES)/initdb || { echo "$(POSTGRES) is missing; on Debian: apt install postgresql-15" >&2; exit 1; }
	ENTREPOT_TEST_POSTGRES=$(POSTGRES) $(PYTEST)

# Three nodes each of etcd and Patroni, from Debian's packages, on this machine.
ha-trial: $(VENV) $(CHAIN)
	@command -v patroni etcd >/dev/null && test -x /usr/lib/postgresql/15/bin/initdb \
		|| { echo "on Debian: apt install patroni etcd-server postgresql-15" >&2; exit 1; }
	.venv/bin/python -W ignore -m bench.ha

contracts: $(CONTRACTS)
	.venv-contracts/bin/python contracts/build.py $(SOURCES)

COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links
locks: $(VENV)
	$(COMPILE) requirements/uv.in -o requirements/uv.txt
	$(COMPILE) requirements/build.in -o requirements/build.txt
	$(COMPILE) pyproject.toml --extra dev -o requirements/dev.txt
	$(COMPILE) pyproject.toml -c requirements/dev.txt -o requirements/server.txt
	$(COMPILE) pyproject.toml --extra bench -c requirements/dev.txt -o requirements/bench.txt
	$(COMPILE) requirements/contracts.in -o requirements/contracts.txt

clean:
	rm -rf .venv .venv-bench .venv-contracts node_modules .entrepot .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache

# uv comes first, by pip and hash; everything else comes by uv, at locked versions and hashes.
.venv/bin/uv: requirements/uv.txt
ifeq ($(PYTHON),)
	$(error Python 3.11 or newer is missing; on Debian: apt install python3 python3-venv)
endif
	@$(PYTHON) -m venv .venv || { echo "The venv module is missing; on Debian: apt install python3-venv" >&2; exit 1; }
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(VENV): .venv/bin/uv requirements/dev.txt requirements/build.txt requirements/uv.txt pyproject.toml
	$(INSTALL) --python .venv/bin/python requirements/dev.txt requirements/build.txt requirements/uv.txt
	$(UV) pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

$(BENCH): .venv/bin/uv requirements/bench.txt requirements/build.txt pyproject.toml
	$(UV) venv --quiet --allow-existing --python .venv/bin/python .venv-bench
	$(INSTALL) --python .venv-bench/bin/python requirements/bench.txt requirements/build.txt
	$(UV) pip install --quiet --python .venv-bench/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

$(CONTRACTS): .venv/bin/uv requirements/contracts.txt
	$(UV) venv --quiet --allow-existing --python .venv/bin/python .venv-contracts
	$(INSTALL) --python .venv-contracts/bin/python requirements/contracts.txt
	@touch $@

# Its install script only looks for the native binary, which comes as a package of its own.
$(CHAIN): package.json package-lock.json
	@command -v npm >/dev/null || { echo "Node.js with npm is missing; on Debian: apt install nodejs npm" >&2; exit 1; }
	npm ci --ignore-scripts $(QUIET_NPM)
	@touch $@
