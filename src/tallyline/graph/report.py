"""What a run did: per node the rows in and out, what was skipped, the seconds, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NodeReport", "Report", "Skipped", "State"]


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


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that was left out, shortened, and the error that it met."""

    row: str
    error: str


@dataclass(slots=True)
class NodeReport:
    """One node's counts.

    Attributes:
        rows_in: Rows taken; 1 for a start.
        rows_out: Rows given to what follows, or that would have been.
        skipped: Rows left out because the node failed on them, and `samples` the first few of these.
        errors: Failures that ended the run.
        seconds: Time spent in the node's own work; concurrent work adds up.
        waiting: Time it waited for rows, or for room in what it feeds.
    """

    name: str
    rows_in: int = 0
    rows_out: int = 0
    skipped: int = 0
    errors: int = 0
    seconds: float = 0.0
    waiting: float = 0.0
    state: State = State.WAITING
    samples: list[Skipped] = field(default_factory=list)

    @property
    def rows_per_second(self) -> float | None:
        """Rows taken, or given by a start, for each second of work."""
        return max(self.rows_in, self.rows_out) / self.seconds if self.seconds else None

    def together_with(self, later: NodeReport) -> NodeReport:
        """Return the counts of both; the state is the later one's."""
        return NodeReport(
            self.name,
            self.rows_in + later.rows_in,
            self.rows_out + later.rows_out,
            self.skipped + later.skipped,
            self.errors + later.errors,
            self.seconds + later.seconds,
            self.waiting + later.waiting,
            later.state,
            [*self.samples, *later.samples],
        )

    def __str__(self) -> str:
        """Return the line that is printed for the node."""
        skipped = f" skipped={self.skipped}" if self.skipped else ""
        errors = f" err={self.errors}" if self.errors else ""
        return f" - {self.name} in={self.rows_in} out={self.rows_out}{skipped}{errors} [{self.state}]"

    def as_dict(self) -> dict[str, object]:
        """Return the counts under the names that are printed and stored."""
        return {
            "name": self.name,
            "in": self.rows_in,
            "out": self.rows_out,
            "skipped": self.skipped,
            "samples": [{"row": sample.row, "error": sample.error} for sample in self.samples],
            "errors": self.errors,
            "seconds": round(self.seconds, 6),
            "waiting": round(self.waiting, 6),
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

    @property
    def bottleneck(self) -> str | None:
        """The name of the node that worked longest, None while none has worked."""
        busiest = max(self.nodes, key=lambda node: node.seconds, default=None)
        return busiest.name if busiest and busiest.seconds else None

    @classmethod
    def of_all(cls, reports: Sequence[Report]) -> Report:
        """Return what several runs of one graph did together; its state and error are those of the last.

        >>> str(Report.of_all([Report([NodeReport("a", 1, 5)]), Report([NodeReport("a", 1, 2)])]))
        ' - a in=2 out=7 [waiting]'
        """
        nodes: dict[str, NodeReport] = {}
        for node in (node for report in reports for node in report.nodes):
            nodes[node.name] = nodes[node.name].together_with(node) if node.name in nodes else node
        seconds = sum(report.seconds for report in reports)
        return cls(list(nodes.values()), reports[-1].state, seconds, reports[-1].error) if reports else cls()

    def cut_short(self) -> Report:
        """Return the report of a run that was not waited for: what had not ended in it is stopped."""
        if self.state.ended:
            return self
        nodes = [node if node.state.ended else replace(node, state=State.STOPPED) for node in self.nodes]
        return replace(self, nodes=nodes, state=State.STOPPED)

    def as_dict(self) -> dict[str, object]:
        """Return the report as plain data, for JSON and for the ledger."""
        return {
            "state": str(self.state),
            "seconds": round(self.seconds, 6),
            "error": self.error,
            "bottleneck": self.bottleneck,
            "nodes": [node.as_dict() for node in self.nodes],
        }
