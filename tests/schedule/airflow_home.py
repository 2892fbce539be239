"""The surroundings of an Airflow that is the tests' own: its settings, and the scripts that run in its environment."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

INSIDE = Path(__file__).parent / "inside_airflow"
NOT_INHERITED = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "VIRTUAL_ENV")  # Airflow compiles itself once, not each time


@dataclass(frozen=True)
class Airflow:
    """An Airflow of the tests' own: where it lives, and what else its processes are to find in their environment."""

    python: Path
    home: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def dags(self) -> Path:
        """The folder that it looks for DAGs in."""
        return self.home / "dags"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its processes."""
        inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        own = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home / 'airflow.db'}",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        }
        return inherited | own | self.settings

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run its Python, and return what came of it."""
        words = [str(self.python), *map(str, arguments)]
        return subprocess.run(words, env=self.environment, capture_output=True, text=True, check=False)

    def script(self, name: str, told: object) -> tuple[Any, str]:
        """Run a script inside, and return what it tells and what it logged."""
        answer = self.home / "answer.json"
        answer.unlink(missing_ok=True)
        done = self.run(INSIDE / f"{name}.py", json.dumps(told), answer)
        assert answer.exists(), done.stderr
        return json.loads(answer.read_text("utf-8")), done.stdout + done.stderr
