"""Readers and writers of files: what is written is read again, and a file is there whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import stat
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallyline.errors import GraphError, NodeFailed
from tallyline.graph import (
    Graph,
    limit,
    read_csv,
    read_json_lines,
    read_parquet,
    run,
    write_csv,
    write_json_lines,
    write_parquet,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tallyline.graph import Node

pytest.importorskip("pyarrow")

ROWS = [{"name": "Zoë", "city": "Köln, Süd"}, {"name": 'the "one"', "city": "two\nlines"}, {"name": "", "city": "0"}]
WRITERS: dict[str, tuple[Callable[[Path], Node], Callable[[Path], Node]]] = {
    "csv": (write_csv, read_csv),
    "jsonl": (write_json_lines, read_json_lines),
    "parquet": (write_parquet, read_parquet),
}
SLOW_FIXTURE = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(params=WRITERS)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of file."""
    return str(request.param)


def write(rows: Iterable[Any], writer: Node) -> list[Any]:
    """Write the rows and return what the writer hands on."""
    handed_on: list[Any] = []
    run(Graph(rows, writer, handed_on.append))
    return handed_on


def read(reader: Node) -> list[Any]:
    """Return what the reader gives."""
    rows: list[Any] = []
    run(Graph(reader, rows.append))
    return rows


# every kind


def test_what_is_written_is_read_again(kind: str, tmp_path: Path) -> None:
    writer, reader = WRITERS[kind]
    path = tmp_path / "rows"
    assert write(ROWS, writer(path)) == ROWS
    assert read(reader(path)) == ROWS


def test_a_path_may_be_text(kind: str, tmp_path: Path) -> None:
    writer, reader = WRITERS[kind]
    write(ROWS, writer(str(tmp_path / "rows")))  # type: ignore[arg-type]
    assert read(reader(str(tmp_path / "rows"))) == ROWS  # type: ignore[arg-type]


def test_a_file_of_no_rows_is_written_and_read(kind: str, tmp_path: Path) -> None:
    writer, reader = WRITERS[kind]
    write([], writer(tmp_path / "rows"))
    assert read(reader(tmp_path / "rows")) == []


def test_a_second_run_writes_the_file_anew(kind: str, tmp_path: Path) -> None:
    writer, reader = WRITERS[kind]
    graph = Graph(ROWS, writer(tmp_path / "rows"))
    run(graph)
    run(graph)
    assert read(reader(tmp_path / "rows")) == ROWS


def test_the_file_is_not_in_its_place_before_the_run_has_ended(kind: str, tmp_path: Path) -> None:
    writer, _ = WRITERS[kind]
    path = tmp_path / "rows"
    seen: list[bool] = []
    run(Graph(ROWS, writer(path), lambda _: seen.append(path.exists())))
    assert seen == [False] * 3
    assert path.exists()


@pytest.mark.parametrize("rows_before", [0, 2, 500])
def test_a_run_that_fails_leaves_what_was_there(kind: str, rows_before: int, tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, int]]:
        for number in range(rows_before):
            yield {"number": number}
        raise OSError("gone")

    writer, _ = WRITERS[kind]
    path = tmp_path / "rows"
    path.write_bytes(b"what was there")
    with pytest.raises(NodeFailed, match="rows failed: OSError: gone"):
        run(Graph(rows, writer(path)))
    assert path.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_that_fails_leaves_no_file_where_none_was(kind: str, tmp_path: Path) -> None:
    writer, _ = WRITERS[kind]
    with pytest.raises(NodeFailed):
        run(Graph(ROWS, writer(tmp_path / "rows"), lambda row: row["missing"]))
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_cannot_open_its_file_fails_before_the_first_row(kind: str, tmp_path: Path) -> None:
    writer, _ = WRITERS[kind]
    seen: list[object] = []
    with pytest.raises(NodeFailed, match=r"write_\w+ failed: FileNotFoundError"):
        run(Graph(ROWS, seen.append, writer(tmp_path / "missing" / "rows")))
    assert seen == []


def test_a_folder_is_not_written_over(kind: str, tmp_path: Path) -> None:
    writer, _ = WRITERS[kind]
    seen: list[object] = []
    with pytest.raises(NodeFailed, match=r"write_\w+ failed: (IsADirectory|Permission)Error"):
        run(Graph(ROWS, seen.append, writer(tmp_path)))
    assert seen == []


def test_a_reader_that_cannot_open_its_file_fails(kind: str, tmp_path: Path) -> None:
    _, reader = WRITERS[kind]
    with pytest.raises(NodeFailed, match=r"read_\w+ failed: FileNotFoundError"):
        read(reader(tmp_path / "missing"))


def test_a_reader_whose_rows_are_not_all_wanted_closes_its_file(kind: str, tmp_path: Path) -> None:
    writer, reader = WRITERS[kind]
    write([{"number": number} for number in range(1_000)], writer(tmp_path / "rows"))
    rows: list[object] = []
    run(Graph(reader(tmp_path / "rows"), limit(1), rows.append))  # a file left open would warn, hence fail
    assert len(rows) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are another matter there")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o027])
def test_a_new_file_has_the_permissions_of_one_written_without_ado(kind: str, mask: int, tmp_path: Path) -> None:
    writer, _ = WRITERS[kind]
    before = os.umask(mask)
    try:
        write(ROWS, writer(tmp_path / "rows"))
        (tmp_path / "other").write_text("other", encoding="utf-8")
    finally:
        os.umask(before)
    assert permissions(tmp_path / "rows") == permissions(tmp_path / "other")


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are another matter there")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_a_file_that_is_written_anew_keeps_its_permissions(kind: str, mode: int, tmp_path: Path) -> None:
    writer, _ = WRITERS[kind]
    path = tmp_path / "rows"
    path.touch()
    path.chmod(mode)
    write(ROWS, writer(path))
    assert permissions(path) == mode


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_stays_a_link_to_the_file_that_is_written(kind: str, tmp_path: Path) -> None:
    writer, reader = WRITERS[kind]
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    link = tmp_path / "rows"
    link.symlink_to(folder / "real")
    write(ROWS, writer(link))
    assert link.is_symlink()
    assert read(reader(folder / "real")) == ROWS


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="there is no such device")
@pytest.mark.parametrize("writer", [write_csv, write_json_lines])
def test_a_device_is_written_to_and_not_replaced(writer: Callable[[Path], Node], tmp_path: Path) -> None:
    device = tmp_path / "null"
    device.symlink_to("/dev/null")
    assert write(ROWS, writer(device)) == ROWS
    assert device.is_char_device()


# CSV


@SLOW_FIXTURE
@given(
    st.lists(
        st.fixed_dictionaries({name: st.text(st.characters(codec="utf-8", exclude_characters="\0")) for name in "abc"})
    )
)
def test_any_text_survives_csv(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    write(rows, write_csv(tmp_path / "rows.csv"))
    assert read(read_csv(tmp_path / "rows.csv")) == rows


def test_csv_is_written_as_other_programs_expect_it(tmp_path: Path) -> None:
    write(ROWS[:1], write_csv(tmp_path / "rows.csv"))
    assert (tmp_path / "rows.csv").read_bytes() == 'name,city\nZoë,"Köln, Süd"\n'.encode()


def test_csv_options_are_those_of_the_standard_library(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write([{"a": 1, "b": 2}], write_csv(path, fieldnames=["b", "a"], delimiter=";", quoting=csv.QUOTE_ALL))
    assert path.read_text("utf-8") == '"b";"a"\n"2";"1"\n'
    assert read(read_csv(path, delimiter=";")) == [{"b": "2", "a": "1"}]
    assert read(read_csv(path, delimiter=";", fieldnames=["x", "y"]))[0] == {"x": "b", "y": "a"}


def test_values_of_csv_are_text(tmp_path: Path) -> None:
    write([{"a": 1, "b": None, "c": 0.5}], write_csv(tmp_path / "rows.csv"))
    assert read(read_csv(tmp_path / "rows.csv")) == [{"a": "1", "b": "", "c": "0.5"}]


@pytest.mark.parametrize("line", ["1", "1,2,3"])
def test_a_line_of_csv_with_more_or_fewer_fields_than_the_first_is_an_error(line: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"a,b\n1,2\n{line}\n", encoding="utf-8")
    with pytest.raises(NodeFailed, match=r"rows\.csv:3 has not as many fields as the 2 in its head"):
        read(read_csv(path))


def test_a_field_that_the_first_row_did_not_have_is_an_error_in_csv(tmp_path: Path) -> None:
    with pytest.raises(NodeFailed, match="dict contains fields not in fieldnames: 'b'"):
        write([{"a": 1}, {"a": 1, "b": 2}], write_csv(tmp_path / "rows.csv"))


def test_a_mark_at_the_beginning_of_csv_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n", encoding="utf-8-sig")
    assert read(read_csv(tmp_path / "rows.csv")) == [{"a": "1", "b": "2"}]


# JSON lines


@SLOW_FIXTURE
@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=8,
        ).filter(lambda row: row is not None)
    )
)
def test_any_value_of_json_survives_json_lines(tmp_path: Path, rows: list[Any]) -> None:
    path = tmp_path / "rows.jsonl"
    write(rows, write_json_lines(path))
    assert read(read_json_lines(path)) == rows
    assert [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]] == rows


def test_empty_lines_of_json_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n\n  \n2\n', encoding="utf-8")
    assert read(read_json_lines(path)) == [{"a": 1}, 2]


def test_a_line_that_is_not_json_is_an_error_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": \n', encoding="utf-8")
    with pytest.raises(NodeFailed, match=r"rows\.jsonl:2 is not JSON: Expecting value"):
        read(read_json_lines(path))


def test_a_row_that_json_cannot_tell_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NodeFailed, match=r"write_json_lines failed at row .*not JSON serializable"):
        write([{"a": object()}], write_json_lines(tmp_path / "rows.jsonl"))


# Parquet


@pytest.mark.parametrize("rows_at_once", [1, 2, 10_000])
def test_types_survive_parquet(rows_at_once: int, tmp_path: Path) -> None:
    rows = [
        {
            "number": number,
            "part": number / 4,
            "is": number % 2 == 0,
            "text": f"ä{number}",
            "day": date(2026, 1, 1 + number),
            "time": datetime(2026, 1, 1, number, tzinfo=UTC),
            "list": [number, number],
        }
        for number in range(5)
    ]
    write(rows, write_parquet(tmp_path / "rows.parquet", rows_at_once=rows_at_once))
    assert read(read_parquet(tmp_path / "rows.parquet")) == rows


def test_columns_of_parquet_are_those_of_the_first_rows_together(tmp_path: Path) -> None:
    write([{"a": 1}, {"b": "x"}, {"a": 3}], write_parquet(tmp_path / "rows.parquet", rows_at_once=2))
    assert read(read_parquet(tmp_path / "rows.parquet")) == [
        {"a": 1, "b": None},
        {"a": None, "b": "x"},
        {"a": 3, "b": None},
    ]


def test_a_field_that_the_first_rows_did_not_have_is_an_error_in_parquet(tmp_path: Path) -> None:
    with pytest.raises(NodeFailed, match="the file has no column b: the rows before had none"):
        write([{"a": 1}, {"a": 2, "b": 3}], write_parquet(tmp_path / "rows.parquet", rows_at_once=1))


@pytest.mark.parametrize("rows_at_once", [1, 2, 10_000])
def test_a_value_of_another_type_than_the_first_is_an_error_in_parquet(rows_at_once: int, tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    with pytest.raises(NodeFailed, match=r"write_parquet failed.*Arrow"):
        write([{"a": 1}, {"a": 2}, {"a": "three"}], write_parquet(path, rows_at_once=rows_at_once))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [read_parquet, write_parquet])
def test_parquet_without_pyarrow_is_refused_with_advice(
    make: Callable[[Path], Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(GraphError, match="Parquet files need pyarrow, which is not installed; pip install pyarrow"):
        make(Path("rows.parquet"))
