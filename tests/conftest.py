"""What several tests share."""

import json
import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest

# A busy machine is slow, not wrong; and what CI tries must not differ from run to run.
hypothesis.settings.register_profile("project", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("project")

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with goldens and real faces beside the project; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip("../shared is not there: goldens and real faces are not part of the project")
    return SHARED


def make_exports(job: str, folder: Path, *words: str) -> dict:
    """What `exports.py` prints when it has done a job in a process of its own."""
    command = [sys.executable, "-m", "tests.exports", job, str(folder), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def exported(tmp_path_factory) -> tuple[Path, dict]:
    """A folder with the tiny model in every format, and what else `exports.every_format` found."""
    folder = tmp_path_factory.mktemp("exported")
    return folder, make_exports("everything", folder)


@pytest.fixture(scope="session")
def pictures() -> np.ndarray:
    """Two small pictures of noise, `(2, 64, 64, 3)` uint8: for whatever holds on all inputs."""
    return np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)


@pytest.fixture
def tiny_model(monkeypatch):
    """The registry with `tiny` in it, for one test; and with what that test registers."""
    import tiny  # brings TensorFlow along

    from keras_fer import registry

    for name in ("_MODELS", "_METHODS"):
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
    registry.register_model(tiny.tiny)
