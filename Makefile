# The two that matter: `make demo` and `make test`. Each installs what it needs into .venv first.

PYTHON ?= python3
VENV   ?= .venv
PAGES   := README.md CONTRIBUTING.md $(wildcard docs/*.md)
BIN    := $(VENV)/bin
WORKERS ?= 3
BASE   ?= main
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-changed lint types contracts compiled unit docs promtool nginx bench soak wheel \
        clean

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.run

$(VENV)/.bench: $(VENV)/.dev
	$(PIP) -e '.[dev,bench]'
	@touch $@

demo: $(VENV)/.run ## twelve commands end to end against a simulated head end
	$(BIN)/openway demo

test: $(VENV)/.dev ## everything that must be green
	$(MAKE) --jobs=2 --output-sync=target lint types contracts compiled
	$(MAKE) unit

lint: $(VENV)/.dev ## style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy --strict adapter tests bench

contracts: $(VENV)/.dev ## who may import whom
	$(BIN)/lint-imports

# Beside mypy, which has one process: each worker of the tests would compile all of them by itself.
# What is wrong with one is told by `unit`.
compiled: $(VENV)/.dev
	@$(BIN)/python -m pytest --collect-only -qq >/dev/null || true

unit: $(VENV)/.dev ## the tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m 'not soak' --durations=10

test-changed: $(VENV)/.dev ## the tests that the changes since BASE can touch
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m 'not soak' $$($(BIN)/python -m tests.changed $(BASE))

docs: $(VENV)/.run ## write the tables and diagrams into README.md, CONTRIBUTING.md and docs/
	$(BIN)/openway tables $(addprefix --fill ,$(PAGES))

# Of Debian's package only the one program is taken: nothing is installed, no service is started.
# The program, the package, the folder that it is in there, what is skipped without it.
define fetch
	@command -v $(1) >/dev/null || test -x $(BIN)/$(1) || { \
	  dir=$$(mktemp -d) && into=$$(cd $(BIN) && pwd) && cd $$dir && \
	  { timeout 60 apt-get download -qq $(2) || \
	    { timeout 120 apt-get update -qq && timeout 60 apt-get download -qq $(2); }; } && \
	  dpkg-deb --fsys-tarfile $(2)_*.deb | tar -xf - ./$(3)/$(1) && \
	  cp $(3)/$(1) $$into/ && rm -r $$dir; } >/dev/null 2>&1 || \
	  echo '$(1) could not be fetched: $(4) are skipped' >&2
endef

promtool: $(BIN)/python ## the checker of the alert rules, from Debian; without it their tests are skipped
	$(call fetch,promtool,prometheus,usr/bin,the tests of the alert rules)

nginx: $(BIN)/python ## for the example of deploy/nginx, from Debian; without it its tests are skipped
	$(call fetch,nginx,nginx,usr/sbin,the tests of deploy/nginx)

bench: $(VENV)/.bench ## what it all takes, beside aiohttp, zeep, spyne and xmllint: bench/RESULTS.md
	$(BIN)/python -m bench

soak: $(VENV)/.dev ## the long runs
	TMPDIR=$${TMPDIR:-/tmp} $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m soak --timeout=3600

wheel: $(VENV)/.dev ## dist/*.whl, with the WSDL inside
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist .

clean: ## all that can be made again
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find adapter tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
