"""What several tests share."""

import os
from pathlib import Path

import hypothesis
import numpy as np
import pytest

# A busy machine is slow, not wrong; and what CI tries must not differ from run to run.
hypothesis.settings.register_profile("project", deadline=None, derandomize="CI" in os.environ)
hypothesis.settings.load_profile("project")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with goldens and real faces beside the project; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip("../shared is not there: goldens and real faces are not part of the project")
    return SHARED


@pytest.fixture(scope="session")
def pictures() -> np.ndarray:
    """Two small pictures of noise, `(2, 64, 64, 3)` uint8: for whatever holds on all inputs."""
    return np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
