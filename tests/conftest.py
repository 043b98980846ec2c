"""What every test may use. Keep it small: a fixture of one package lives beside its tests."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The root of this repository, which is itself an Eventmill project."""
    return Path(__file__).resolve().parent.parent
