"""What several tests share."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with goldens and real faces beside the project; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip("../shared is not there: goldens and real faces are not part of the project")
    return SHARED
