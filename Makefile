# Every target sets up what it needs: on a fresh machine, `make demo` or `make test` is all there is to type.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test test-all lint clean

setup: .venv/ready$(if $(GPU),-gpu)

.venv/ready: requirements.txt
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit("error: Python %d.%d found, 3.11 to 3.13 expected; choose one by make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

.venv/ready-gpu: .venv/ready
	$(BIN)/pip install --quiet --disable-pip-version-check "tensorflow[and-cuda]==$$($(BIN)/python -c 'from importlib.metadata import version; print(version("tensorflow"))')"
	@touch $@

# The main job on faces that the project draws: prepare, train, evaluate, pictures. A second call goes on with the first.
demo: setup
	$(BIN)/python -m train.fit $(if $(wildcard runs/demo/config.json),--resume runs/demo,--model mit_fusion --out runs/demo)
	$(BIN)/python -m train.evaluate --weights runs/demo --data data/drawn --out runs/demo/test

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

test: lint
	$(BIN)/python -m pytest

test-all: lint
	$(BIN)/python -m pytest -m "slow or not slow"

clean:
	rm -rf .venv build dist runs data
