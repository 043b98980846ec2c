# Everything a developer does here. `make` alone lists it; nothing but git, make and Python 3.11+ is
# needed, and nothing is installed outside this folder.

# With COMPILED=1 a command works on Eventmill as a wheel with compiled modules installs it, in an
# environment of its own. It needs a C compiler and a few minutes, again after every change. That is
# what benchmarks measure where there is a compiler; `make bench COMPILED=` measures the sources.
ifneq ($(filter bench bench-%,$(MAKECMDGOALS)),)
COMPILED ?= $(if $(shell command -v cc),1)
endif
COMPILED ?=
VENV ?= .venv$(if $(COMPILED),-compiled)
# The Python that the virtual environment is made from; empty means: the first fit one on the PATH.
PYTHON ?=
# More arguments for pytest, the demo, the report or the benchmark, such as: make test ARGS='-k quarantine'
ARGS ?=

# Named one by one, so that no environment is looked into where git does not say what is ignored.
CODE := src tests bench handlers examples hatch_build.py

IN_VENV := $(VENV)/bin/python
# The environment knows this folder by its absolute path, so a clone that was moved sets up anew.
INSTALLED := $(VENV)/.installed-$(shell pwd | cksum | cut -d ' ' -f 1)

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-kafka check conformance crash faults soak mutants bench bench-long bench-peers format clean

help: ## List these commands
	@echo 'make <command>, where <command> is one of'
	@sed -n 's/^\([a-z-]*\):.*## /  \1|/p' Makefile | awk -F '|' '{ printf "%-13s %s\n", $$1, $$2 }'

setup: $(INSTALLED) ## Create .venv and install Eventmill and its tools into it, where anything changed
	@echo 'Ready: $(VENV)'

demo: $(INSTALLED) ## Run the example pipeline on real files, with a crash in the middle
	@$(IN_VENV) -m examples.demo $(ARGS)

test: $(INSTALLED) ## Run the test suite
	@$(IN_VENV) -m pytest -n auto $(ARGS)

test-kafka: $(INSTALLED) ## Run the tests of Kafka against a real broker, which they fetch (Maven) and start (Java 17)
	@EVENTMILL_TEST_KAFKA=real $(IN_VENV) -m pytest tests/kafka $(ARGS)

check: $(INSTALLED) ## Lint, formatting, types and import rules: what must hold for every commit
	@echo 'ruff check'; $(IN_VENV) -m ruff check --quiet --output-format concise $(CODE)
	@echo 'ruff format --check'; $(IN_VENV) -m ruff format --check --quiet $(CODE)
	@echo 'mypy --strict'; $(IN_VENV) -m mypy --no-error-summary
	@echo 'lint-imports'; $(IN_VENV) -c 'from importlinter.cli import lint_imports_command as main; main()' --no-logo

conformance: $(INSTALLED) ## Run the cases recorded against AWS; writes docs/conformance.md
	@$(IN_VENV) -m tests.conformance.report $(ARGS)

crash: $(INSTALLED) ## Kill a server at every point it passes and compare the histories; then while 10,000 events arrive
	@$(IN_VENV) -m tests.crash $(ARGS)
	@$(IN_VENV) -m tests.crash.sources
	@EVENTS=10000 $(IN_VENV) -m pytest -q --timeout 600 tests/crash/test_http_feed.py

faults: $(INSTALLED) ## Let every call to the disk fail once, in every way, and compare the histories
	@$(IN_VENV) -m tests.faults $(ARGS)

soak: $(INSTALLED) ## Simulate the engine under random faults until stopped, seed by seed
	@$(IN_VENV) -m tests.simulation $(ARGS)

mutants: $(INSTALLED) ## Break the engine and the machine on purpose; the tests must notice
	@$(IN_VENV) -m tests.mutants $(ARGS)

bench: $(INSTALLED) ## Measure throughput and latency; writes build/bench.json
	@$(IN_VENV) -m bench $(ARGS)

bench-long: $(INSTALLED) ## Measure what takes minutes: a million sleepers, a million children
	@mkdir -p build
	@$(IN_VENV) -m bench.sleepers1m $(or $(N),1000000) build
	@$(IN_VENV) -m bench.map_run $(or $(N),1000000) build

bench-peers: $(INSTALLED) ## Measure other systems beside ours; ARGS='--install dbos' installs one
	@$(IN_VENV) -m bench.peers $(ARGS)

format: $(INSTALLED) ## Put the code into its form: ruff format, imports sorted
	@$(IN_VENV) -m ruff check --quiet --select I --fix $(CODE)
	@$(IN_VENV) -m ruff format --quiet $(CODE)

clean: ## Remove what these commands made: environments, caches, build output
	@rm -rf .venv .venv-* build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An editable installation follows the sources by itself.
$(INSTALLED): pyproject.toml $(if $(COMPILED),hatch_build.py $(shell find src -name '*.py'))
	@VENV='$(VENV)' PYTHON='$(PYTHON)' COMPILED='$(COMPILED)' sh .ci/setup
	@touch '$@'
