# The only commands to remember. Each sets up what it needs first.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-full check bench clean

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
EXTRAS := $(VENV)/extras
# the first Python here that is new enough; say PYTHON=... to choose another
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

help:
	@echo "make setup      a virtual environment with PyTorch, Detectron2 and thingstuff"
	@echo "make demo       train, evaluate and draw on the embedded data set"
	@echo "make test       the fast tests"
	@echo "make test-full  all tests"
	@echo "make check      format, lint, types, import order"
	@echo "make bench      speed against the reference programs, about 40 minutes: docs/results.md"
	@echo "make clean      remove caches and builds, keep data sets and output"

setup: $(READY)

# `ready` holds the seconds that the set-up took and is newer than all it was made from; packages without what they ask
# for, of an earlier `make test-full`, go first
$(READY): requirements.txt setup.py pyproject.toml thingstuff/cli/install_detectron2.py
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or newer is needed: install it, or say PYTHON=path"; exit 2; }
	@start=$$(date +%s); \
	echo "setting up $(VENV) with $(PYTHON): about two minutes, most of it PyTorch" && \
	$(PYTHON) -m venv $(VENV) && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt && \
	$(BIN)/python tools/install_detectron2.py && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . && \
	rm -f $(EXTRAS) && $(BIN)/python -m pip uninstall --quiet --yes -r requirements-bare.txt 2>/dev/null && \
	$(BIN)/python -m pip check && \
	echo $$(( $$(date +%s) - start )) > $(READY)

demo: $(READY)
	$(BIN)/python tools/demo.py --setup-seconds $$(cat $(READY))

# the fast tests run side by side, one core each; more threads would only be in each other's way
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n auto

# what only single projects and reference programs want
$(EXTRAS): $(READY) requirements-extras.txt requirements-bare.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.txt -r requirements-extras.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-bare.txt
	@touch $(EXTRAS)

# the demo trains on all cores, and alone: threads that wait for each other crawl where others want their cores
test-full: $(EXTRAS) test
	$(BIN)/python -m pytest -m slow tests/slow/test_demo.py
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow -n 2 --dist loadfile --no-loadscope-reorder \
		--ignore tests/slow/test_demo.py

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_arrows.py

bench: $(READY)
	$(BIN)/python tools/benchmark.py results --output docs/results.md

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find thingstuff tools tests projects -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
