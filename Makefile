# Every target sets up what it needs: on a fresh machine, `make demo` or `make test` is all there is to type.
PYTHON ?= python3
BIN := .venv/bin

ASSETS := android_demo/app/src/main/assets/models/index.json

.PHONY: setup demo test test-all test-android test-arm64 apk lint clean

setup: .venv/ready$(if $(GPU),-gpu)

.venv/ready: requirements.txt
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit("error: Python %d.%d found, 3.11 to 3.13 expected; choose one by make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

.venv/ready-gpu: .venv/ready
	$(BIN)/pip install --quiet --disable-pip-version-check "tensorflow[and-cuda]==$$($(BIN)/python -c 'from importlib.metadata import version; print(version("tensorflow"))')"
	@touch $@

# The main job on faces that the project draws: prepare, train, evaluate, recognise; at last the same faces by the weights
# that ship. A second call goes on with the first.
demo: setup
	$(BIN)/python -m train.fit $(if $(wildcard runs/demo/config.json),--resume runs/demo,--model mit_fusion --out runs/demo)
	$(BIN)/python -m train.evaluate --weights runs/demo --data data/drawn --out runs/demo/test
	$(BIN)/python -m train.drawn runs/demo/people.png --scene happiness surprise anger
	$(BIN)/python -m keras_fer.predict runs/demo/people.png --weights runs/demo --out runs/demo/answer
	$(BIN)/python -m keras_fer.predict runs/demo/people.png --out runs/demo/shipped

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

test: lint
	$(BIN)/python -m pytest

test-all: lint
	$(BIN)/python -m pytest -m "slow or not slow"

# Exported files on the kernels of phones, under emulation (Debian; fetches 110 MB the first time).
ARM64 := build/arm64
test-arm64: setup
	$(BIN)/python -m pytest -m "slow or not slow" tests/test_phone_cost.py
	$(BIN)/python -m tests.exports arm64 $(ARM64)
	$(BIN)/python -m export.arm64_check $(wildcard keras_fer/weights/*.tflite) $(ARM64)/*.tflite

# Needs a JDK (17 or newer) and Maven; `make test` runs the fast part of it where they are found.
test-android: setup
	$(BIN)/python -m pytest -m "slow or not slow" tests/test_android.py tests/test_android_export.py

# An installable APK without Android's SDK; needs a JDK (17 or newer), Maven and Node. It packs the models that were given
# to export.android or are in WEIGHTS="runs/mit ...", or else all that ship.
apk: setup $(if $(WEIGHTS),,$(ASSETS))
	$(if $(WEIGHTS),$(BIN)/python -m export.android --weights $(WEIGHTS))
	$(BIN)/python -m export.apk
	$(BIN)/python -m export.apk_models

$(ASSETS): | setup
	$(BIN)/python -m export.android

clean:
	rm -rf .venv build dist runs data android_demo/*/target android_demo/apk/build
