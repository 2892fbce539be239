"""What a run did: per node the rows in and out, the errors, the seconds and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["NodeReport", "Report", "State"]


class State(StrEnum):
    """Where a node, or a whole run, stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self in {State.DONE, State.FAILED, State.STOPPED}


@dataclass(slots=True)
class NodeReport:
    """One node's counts. `seconds` is the time spent in the node itself, not in those it feeds."""

    name: str
    rows_in: int = 0
    rows_out: int = 0
    errors: int = 0
    seconds: float = 0.0
    state: State = State.WAITING

    def __str__(self) -> str:
        """Return the line that is printed for the node."""
        errors = f" err={self.errors}" if self.errors else ""
        return f" - {self.name} in={self.rows_in} out={self.rows_out}{errors} [{self.state}]"

    def as_dict(self) -> dict[str, object]:
        """Return the counts under the names that are printed and stored."""
        return {
            "name": self.name,
            "in": self.rows_in,
            "out": self.rows_out,
            "errors": self.errors,
            "seconds": round(self.seconds, 6),
            "state": str(self.state),
        }


@dataclass(slots=True)
class Report:
    """A whole run's counts, its state and, where it failed, why."""

    nodes: list[NodeReport] = field(default_factory=list)
    state: State = State.WAITING
    seconds: float = 0.0
    error: str = ""

    def __getitem__(self, name: str) -> NodeReport:
        """Return the node of that name."""
        return next(node for node in self.nodes if node.name == name)

    def __str__(self) -> str:
        """Return a line for each node."""
        return "\n".join(map(str, self.nodes))

    def as_dict(self) -> dict[str, object]:
        """Return the report as plain data, for JSON and for the ledger."""
        return {
            "state": str(self.state),
            "seconds": round(self.seconds, 6),
            "error": self.error,
            "nodes": [node.as_dict() for node in self.nodes],
        }
