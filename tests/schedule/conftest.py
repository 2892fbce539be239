"""A real Airflow, in an environment of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tools import airflow

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def airflow_python() -> Path:
    """The Python of the environment that Airflow is installed in; for tests marked `airflow`."""
    missing = airflow.made()
    if missing and "CI" in os.environ:
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    return airflow.python()
