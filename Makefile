# The same commands for a person and for CI. Everything is installed into .venv; nothing outside is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OFFICIAL := .bench/official
MYSQL := .bench/mysql
OFFICIAL_CLIENT := instructure-dap-client[postgresql,mysql]==2.3.1
FAST_TESTS := $(BIN)/pytest -q --numprocesses auto --dist worksteal -m "not slow and not server and not official and not soak"
# The tests start hundreds of processes: modules are compiled once, not by each of them.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test steady lint check soak bench docs reference clean
.DELETE_ON_ERROR:

help:  ## show the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 10

# Checks an interpreter, and that it has pip.
IS_USABLE := -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
# An environment of an old interpreter, or of one that was removed, would make every later run fail.
BROKEN := $(shell [ ! -e $(VENV) ] || $(BIN)/python $(IS_USABLE) || echo FORCE)

.PHONY: FORCE
FORCE:

$(BIN)/dap: pyproject.toml $(BROKEN)
	@$(BIN)/python $(IS_USABLE) || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "dapkit needs Python 3.11 or later. $(PYTHON) is: $$($(PYTHON) --version 2>&1)"; \
		echo "Name a newer one, for example: make $(firstword $(MAKECMDGOALS)) PYTHON=python3.12"; exit 1; } >&2
	$(BIN)/python $(IS_USABLE) || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.dev: $(BIN)/dap
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

$(VENV)/.docs: $(BIN)/dap
	$(BIN)/python -m pip install --quiet --group docs
	@touch $@

$(MYSQL)/mysqld:
	tests/support/install_mysql.sh $(MYSQL)

# What only the examples of the documentation use.
$(VENV)/.examples: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --group examples
	@touch $@

$(OFFICIAL)/bin/dap: | $(BIN)/dap
	$(BIN)/python -m venv $(OFFICIAL)
	$(OFFICIAL)/bin/python -m pip install --quiet "$(OFFICIAL_CLIENT)"

DEMO_QUERY := SELECT date_trunc('month', submitted_at)::DATE AS month, count(*) AS submissions, \
	count(DISTINCT user_id) AS students, round(avg(score), 1) AS average_score \
	FROM canvas.submissions WHERE submitted_at >= '2025-09-01' GROUP BY ALL ORDER BY month

demo: $(BIN)/dap  ## every canvas table from the sandbox as a Parquet file, in demo/canvas/, and a query to try
	$(BIN)/dap --sandbox snapshot --namespace canvas --table all --format parquet --flat --output-directory demo
	@echo
	@echo 'Try this query:'
	@echo "$(BIN)/dap sql --from demo \"$(strip $(DEMO_QUERY))\""

lint: $(VENV)/.dev  ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint  ## lint and the fast tests, on all cores: about a minute, no servers but our own
	$(FAST_TESTS)

# A busy loop runs as long as the shell of this recipe exists, however that ends.
steady: $(VENV)/.dev  ## the fast tests three times beside busy loops on all cores: they must pass each time
	@for _ in $$(seq "$$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)"); do while kill -0 $$$$ 2>/dev/null; do :; done & done; \
	for _ in 1 2 3; do $(FAST_TESTS) || exit 1; done

check: test docs $(VENV)/.examples $(OFFICIAL)/bin/dap  ## test, the documentation, and the slow tier: the official client, servers, faults, 20 kills
	DAPKIT_SERVERS=required DAPKIT_OFFICIAL=$(abspath $(OFFICIAL))/bin/dap \
		$(BIN)/pytest -q --numprocesses 3 --dist worksteal -m "(slow or server or official) and not soak"

soak: test $(VENV)/.examples $(OFFICIAL)/bin/dap $(MYSQL)/mysqld  ## everything: 100 kills, the full fault matrix, the benches
	DAPKIT_SOAK=1 DAPKIT_SERVERS=required DAPKIT_OFFICIAL=$(abspath $(OFFICIAL))/bin/dap \
		$(BIN)/pytest -q -m "slow or server or official or soak"
	$(MAKE) bench

bench: $(VENV)/.dev $(OFFICIAL)/bin/dap  ## measure against the floors and the official client
	DAPKIT_OFFICIAL=$(abspath $(OFFICIAL))/bin/dap $(BIN)/python -m bench

docs: $(VENV)/.docs  ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

reference: $(BIN)/dap  ## generate parts of the documentation from the code
	$(BIN)/python -m docs.generate

clean:  ## remove what was made
	rm -rf $(VENV) .bench demo site .mypy_cache .ruff_cache .pytest_cache .hypothesis
