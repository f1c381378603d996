# Everything runs in .venv, installed from requirements.lock; DAGSTER_HOME is the repository's own.
PYTHON ?= python3
BIN := .venv/bin
export DAGSTER_HOME := $(CURDIR)/dagster_home

PORT ?= 3000

.PHONY: install demo test ui bench curves docs lock

install: .venv/installed  # create .venv from the lock file, byte-compiled

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 15) or sys.exit("Python 3.11-3.14 is needed, this is " + sys.version.split()[0] + ": make ... PYTHON=python3.13")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9,<1"
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --offline -e .
	touch $@

demo: install  # simulate three trading days, materialise everything, print what came out
	$(BIN)/python -m pipeline_assets.demo

test: install  # lint and the whole test suite
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

# Sockets lie in TMPDIR; from macOS's own they would be removed after three days.
ui: install  # the Dagster UI, http://localhost:3000, or PORT=...
	@$(BIN)/python -c 'import socket; socket.create_server(("127.0.0.1", $(PORT)))' 2> /dev/null \
		|| { echo "port $(PORT) is taken: is the UI running already? if not: make ui PORT=3001"; exit 1; }
	TMPDIR=/var/tmp $(BIN)/dagster dev --host 127.0.0.1 --port $(PORT)

bench: install  # measure; the table is printed, the figures are kept in benchmarks/results.json
	$(BIN)/python -m pytest benchmarks/test_stages.py --keep --benchmark-columns=median,iqr,min,max,rounds

curves: install  # measure how seconds and memory grow; docs/pictures/scaling.png
	$(BIN)/python -m pytest benchmarks/test_scaling.py --keep --benchmark-columns=median,min,max,rounds
	$(BIN)/python -m benchmarks.curves

docs: install  # write docs/features.md from the catalogue
	$(BIN)/python -m pipeline_assets.features_page

lock: install  # the newest releases that pyproject.toml allows
	$(BIN)/uv pip compile pyproject.toml --group dev --upgrade --universal --generate-hashes --no-strip-extras \
		--no-header --no-emit-index-url -o requirements.lock
