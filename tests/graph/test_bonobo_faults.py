"""What was measured on Bonobo 0.6.4 and must not happen here: each fault as a test that shows the opposite."""

from __future__ import annotations

import itertools
import json
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from tallyline.errors import GraphError, NodeFailed
from tallyline.graph import (
    Graph,
    Report,
    State,
    batch,
    node,
    over,
    read_csv,
    run,
    service,
    set_fields,
    write_json_lines,
)
from tests.graph.threads import none_left_behind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MORE_THAN_A_QUEUE = 20_000


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    with none_left_behind():
        yield


def exit_status(program: str) -> int:
    """Run a program of these lines and return its exit status."""
    lines = f"from tallyline.graph import *\n{program}"
    return subprocess.run([sys.executable, "-c", lines], capture_output=True, check=False).returncode


# errors


def test_a_transform_that_raises_fails_the_run_instead_of_losing_the_row() -> None:
    with pytest.raises(NodeFailed, match="int failed at row 'x': ValueError"):
        run(Graph(["1", "x", "3"], int))


def test_a_generator_that_raises_after_a_yield_fails_the_run_instead_of_losing_the_rest() -> None:
    def parts(row: int) -> Iterator[int]:
        yield row
        raise ValueError

    with pytest.raises(NodeFailed, match="parts failed at row 1"):
        run(Graph([1, 2], parts))


def test_a_source_that_raises_fails_the_run_instead_of_ending_early(tmp_path: Path) -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ConnectionError("gone")

    with pytest.raises(NodeFailed, match="source failed: ConnectionError: gone"):
        run(Graph(source, write_json_lines(tmp_path / "rows.jsonl")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [NotImplementedError, TypeError, MemoryError, RecursionError])
def test_an_error_of_any_kind_fails_the_run(error: type[Exception]) -> None:
    def work(row: int) -> None:
        raise error

    with pytest.raises(NodeFailed):
        run(Graph([1], work))


def test_a_callable_that_takes_no_row_fails_the_run() -> None:
    def work() -> None:
        pass

    with pytest.raises(NodeFailed, match="takes 0 positional arguments"):
        run(Graph([1], work))


def test_rows_may_change_their_type_and_their_length() -> None:
    rows: list[object] = []
    given = [1, "two", (3, 3), {"four": 4}, [5], (6,)]
    run(Graph(given, lambda row: row, rows.append))
    assert rows == given


@pytest.mark.parametrize(
    "dead",
    [
        lambda row: row // 0,
        node(lambda row: row // 0, concurrency=2),
        over(lambda rows: [next(rows) // 0]),
    ],
    ids=["plain", "concurrent", "over all rows"],
)
def test_a_node_that_dies_ends_its_producer_however_many_rows_are_still_to_come(dead: Callable[..., object]) -> None:
    graph = Graph(range(MORE_THAN_A_QUEUE), node(lambda row: row, concurrency=1), dead)
    with pytest.raises(NodeFailed, match="ZeroDivisionError"):
        run(graph)


def test_a_database_that_cannot_be_reached_at_the_start_ends_the_run(tmp_path: Path) -> None:
    def database() -> sqlite3.Connection:
        return sqlite3.connect(tmp_path / "missing" / "shop.db")

    def write(row: int, database: sqlite3.Connection) -> None:
        database.execute("SELECT 1")

    graph = Graph(range(MORE_THAN_A_QUEUE), node(write, concurrency=2))
    with pytest.raises(NodeFailed, match="write failed: OperationalError: unable to open database file"):
        run(graph, {"database": service(database)})


def test_a_reader_that_cannot_open_its_file_fails_the_run(tmp_path: Path) -> None:
    with pytest.raises(NodeFailed, match="read_csv failed: FileNotFoundError"):
        run(Graph(read_csv(tmp_path / "missing.csv"), str))


def test_a_missing_service_is_refused_before_anything_starts() -> None:
    started: list[int] = []

    def write(row: int, database: object) -> None:
        pass

    with pytest.raises(GraphError, match='write asks for the service "database", which does not exist'):
        run(Graph([1], started.append, write))
    assert started == []


def test_an_error_is_never_handed_on_as_a_row() -> None:
    rows: list[object] = []
    report = run(Graph(["1", "x", "3"], node(int, on_error="skip"), rows.append))
    assert rows == [1, 3]
    assert report["int"].skipped == 1


class Upsert:
    """Writes batches into SQLite, all in one transaction."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def opened(self) -> Iterator[Callable[[list[Any]], Iterator[Any]]]:
        """Write all, or nothing."""
        with closing(sqlite3.connect(self.path, check_same_thread=False)) as database, database:
            database.execute("CREATE TABLE IF NOT EXISTS hits (id INTEGER PRIMARY KEY, hits INTEGER NOT NULL)")
            yield lambda rows: self.written(database, rows)

    @staticmethod
    def written(database: sqlite3.Connection, rows: list[Any]) -> Iterator[Any]:
        """Write some rows, and hand them on."""
        statement = "INSERT INTO hits VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET hits = excluded.hits"
        database.executemany(statement, rows)
        return iter(rows)

    def read(self) -> list[Any]:
        """Return what is there."""
        with closing(sqlite3.connect(self.path)) as database:
            return database.execute("SELECT * FROM hits").fetchall()


def test_one_bad_row_in_a_batch_fails_the_run_and_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    upsert = Upsert(tmp_path / "hits.db")
    run(Graph([(1, 10)], batch(1_000), node(upsert.opened(), name="upsert")))
    rows: list[Any] = [(number, number) for number in range(3_500)]
    rows[2_600] = (2_600, None)
    with pytest.raises(NodeFailed, match=r"upsert failed at row .*IntegrityError: NOT NULL constraint failed"):
        run(Graph(rows, batch(1_000), node(upsert.opened(), name="upsert")))
    assert upsert.read() == [(1, 10)]


def test_rows_after_a_writer_of_batches_are_whole_whatever_their_number(tmp_path: Path) -> None:
    upsert = Upsert(tmp_path / "hits.db")
    after: list[Any] = []
    rows = [(number, number) for number in range(2_345)]
    report = run(Graph(rows, batch(1_000), node(upsert.opened(), name="upsert"), after.append))
    assert after == rows
    assert (report["upsert"].rows_in, report["upsert"].rows_out) == (3, 2_345)
    assert upsert.read() == rows


def test_fields_of_rows_can_be_set_on_the_way_to_a_writer() -> None:
    rows: list[dict[str, object]] = []
    run(Graph([{"id": 1}], set_fields(updated_at="today"), rows.append))
    assert rows == [{"id": 1, "updated_at": "today"}]


def test_an_interrupted_run_does_not_return_as_if_it_were_done() -> None:
    def interrupted(row: int) -> None:
        raise KeyboardInterrupt

    reports: list[Report] = []
    with pytest.raises(KeyboardInterrupt):
        run(Graph([1, 2], node(interrupted, concurrency=2)), observe=reports.append)
    assert reports[-1].state is State.STOPPED


@pytest.mark.parametrize(
    "program",
    [
        "run(Graph(['x'], int))",
        "run(Graph(['x'], node(int, concurrency=2)))",
        "run(Graph(['x', 'y'], node(int, on_error='skip', max_errors=1)))",
        "run(Graph(lambda: 1 // 0))",
        "run(Graph([1], lambda row, missing: row))",
    ],
)
def test_a_program_whose_run_failed_does_not_exit_with_status_0(program: str) -> None:
    assert exit_status(program) == 1


def test_rows_that_were_skipped_on_purpose_do_not_fail_the_program() -> None:
    assert exit_status("run(Graph(['x', 'y'], node(int, on_error='skip', max_errors=2)))") == 0


# silent changes of data


FALSY: list[object] = [0, 0.0, "", {}, [], (), False, Decimal(0), b"", frozenset()]


@pytest.mark.parametrize("value", FALSY, ids=repr)
def test_a_falsy_value_that_is_returned_is_a_row(value: object) -> None:
    rows: list[object] = []
    run(Graph([1], lambda _: value, rows.append))
    assert rows == [value]


@pytest.mark.parametrize("value", [*FALSY, None], ids=repr)
def test_a_falsy_value_that_is_yielded_is_a_row(value: object) -> None:
    rows: list[object] = []

    def work(row: int) -> Iterator[object]:
        yield value

    run(Graph([1], work, rows.append))
    assert rows == [value]


@pytest.mark.parametrize("value", [(1, 2), [1, 2], {"a": 1}, "ab"], ids=repr)
def test_a_collection_is_one_row_and_stays_what_it_is(value: object) -> None:
    rows: list[object] = []
    run(Graph([1], lambda _: value, lambda row: row, rows.append))
    assert rows == [value]
    assert type(rows[0]) is type(value)


def test_iterators_of_all_kinds_are_expanded_like_generators() -> None:
    rows: list[object] = []
    run(Graph(["ab"], lambda row: map(str.upper, row), lambda row: iter([row, row]), rows.append))
    assert rows == ["A", "A", "B", "B"]


def test_a_branch_does_not_see_what_another_does_to_a_row() -> None:
    def start() -> Iterator[dict[str, list[int]]]:
        for number in range(2_000):
            yield {"numbers": [number]}

    def spoil(row: dict[str, list[int]]) -> None:
        row["numbers"].append(-1)

    for first_branch_spoils in (True, False):
        graph = Graph(node(start, name="start"))
        seen: list[dict[str, list[int]]] = []
        for work in (spoil, seen.append) if first_branch_spoils else (seen.append, spoil):
            _ = graph["start"] >> work
        run(graph)
        assert seen == [{"numbers": [number]} for number in range(2_000)]


def test_rows_of_each_branch_keep_their_order_where_branches_meet() -> None:
    graph = Graph(range(3_000))
    rows: list[tuple[str, int]] = []
    end = graph["range"] >> node(lambda row: ("left", row), name="left", concurrency=2) >> node(rows.append, name="end")
    _ = graph["range"] >> node(lambda row: ("right", row), name="right") >> end
    run(graph)
    for side in ("left", "right"):
        assert [number for name, number in rows if name == side] == list(range(3_000))


def test_a_cycle_is_refused_while_the_graph_is_built() -> None:
    graph = Graph([1], str, int)
    with pytest.raises(GraphError, match="int >> str would close a cycle: str >> int >> str"):
        _ = graph["int"] >> graph["str"]


def test_chains_that_are_not_connected_run_side_by_side() -> None:
    graph = Graph()
    rows: list[int] = []
    _ = graph >> [1] >> rows.append
    _ = graph >> [2] >> rows.append
    run(graph)
    assert sorted(rows) == [1, 2]


# starting, ending, memory


@pytest.mark.parametrize("chain", [[str], [node(str, concurrency=1)], [str, over(iter), node(len, timeout=60)]])
@pytest.mark.parametrize("rows", [0, 1, 3, 100])
def test_a_small_graph_ends_well_every_time(rows: int, chain: list[Any]) -> None:
    for _ in range(20):
        report = run(Graph(range(rows), *chain))
        assert report.state is State.DONE
        assert report["str"].rows_out == rows


def test_more_rows_than_any_queue_holds_pass_through_one_thread() -> None:
    report = run(Graph(range(MORE_THAN_A_QUEUE), str, len))
    assert report["len"].rows_in == MORE_THAN_A_QUEUE


def test_how_many_rows_may_wait_can_be_set() -> None:
    given: list[int] = []
    taken: list[int] = []

    def start() -> Iterator[int]:
        for number in range(MORE_THAN_A_QUEUE):
            given.append(number)
            yield number

    def take(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            taken.append(row)
            assert len(given) - len(taken) < 1_000
            yield row

    run(Graph(start, over(take)), most_rows=100)
    assert len(taken) == MORE_THAN_A_QUEUE


def test_a_function_that_is_used_twice_has_a_name_for_each_place() -> None:
    graph = Graph(["a"], str.strip, str.upper, str.strip)
    assert graph.names == ("list", "strip", "upper", "strip-2")


def test_the_counts_are_told_without_a_terminal() -> None:
    program = "from tallyline.graph import *; print(run(Graph([1, 2], str)))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == " - list in=1 out=2 [done]\n - str in=2 out=2 [done]\n"


def test_the_report_can_be_read_by_machines() -> None:
    report = json.loads(json.dumps(run(Graph(["1", "x"], node(int, on_error="skip"))).as_dict()))
    assert (report["state"], report["nodes"][1]["skipped"], report["nodes"][1]["errors"]) == ("done", 1, 0)


def test_the_engine_needs_nothing_but_python() -> None:
    program = (
        "import sys, tallyline.graph; print(sorted({name.split('.')[0] for name in sys.modules}"
        " - sys.stdlib_module_names - {'tallyline', '__main__'}))"
    )
    ran = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=False, env=path())
    assert ran.stdout == "[]\n", ran.stderr


def path() -> dict[str, str]:
    """Return an environment in which only the package itself is found."""
    import tallyline  # noqa: PLC0415

    (folder,) = tallyline.__path__
    return {"PYTHONPATH": folder.removesuffix("tallyline")}


def test_an_endless_source_ends_when_nobody_wants_more() -> None:
    report = run(Graph(itertools.count(), over(lambda rows: itertools.islice(rows, 3), name="three")))
    assert report["three"].rows_out == 3
