"""What a query answers: a list of values, its columns, and frames of three libraries."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd  # type: ignore[import-untyped]  # it has no types
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]  # it has no types
import pytest

from tallyline.errors import Refused
from tallyline.warehouse import Value
from tallyline.warehouse.answer import Answer
from tallyline.window import Grain
from tests.warehouse.publishing import at, publish, reading, window

if TYPE_CHECKING:
    from tallyline.warehouse import Warehouse

Backend = Literal["pandas", "polars", "pyarrow"]

BACKENDS: tuple[Backend, ...] = ("pandas", "polars", "pyarrow")
COLUMNS = ["time", "value", "part", "complete", "before"]
ANSWER = Answer(
    [
        Value(at("2026-07-14"), 3.0, "FR", complete=True, before=2.0),
        Value(at("2026-07-15"), 4.5, "DE", complete=False, before=7.0),
    ]
)


def rows(frame: Any) -> list[tuple[object, ...]]:  # noqa: ANN401  # a frame of any of the libraries
    """Return the rows of a frame."""
    if isinstance(frame, pd.DataFrame):
        return [tuple(row) for row in frame.astype(object).itertuples(index=False)]
    columns = frame.to_dict(as_series=False) if isinstance(frame, pl.DataFrame) else frame.to_pydict()
    return list(zip(*columns.values(), strict=True))


def test_columns_hold_the_values_in_their_order() -> None:
    assert ANSWER.columns() == {
        "time": [at("2026-07-14"), at("2026-07-15")],
        "value": [3.0, 4.5],
        "part": ["FR", "DE"],
        "complete": [True, False],
        "before": [2.0, 7.0],
    }


def test_no_values_make_empty_columns() -> None:
    assert Answer().columns() == {name: [] for name in COLUMNS}


def test_a_query_answers_with_a_list_that_knows_its_columns(warehouse: Warehouse) -> None:
    days = [({"date": "2026-07-14", "country": country}, {"users.new": 2}) for country in ("FR", "DE")]
    publish(warehouse, reading(days, window("2026-07-14", "2026-07-15"), grain=Grain.DAY))
    answer = warehouse.query("users.new", split="country")
    assert answer == [Value(at("2026-07-14"), 2.0, country, complete=True) for country in ("DE", "FR")]
    assert answer.columns() == {
        "time": [at("2026-07-14")] * 2,
        "value": [2.0, 2.0],
        "part": ["DE", "FR"],
        "complete": [True, True],
        "before": [None, None],
    }


@pytest.mark.parametrize(
    ("backend", "kind"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame), ("pyarrow", pa.Table)]
)
def test_a_frame_is_one_of_the_library_that_was_named(backend: Backend, kind: type) -> None:
    assert isinstance(ANSWER.to_frame(backend), kind)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_frame_holds_the_values_under_their_names(backend: Backend) -> None:
    frame = ANSWER.to_frame(backend)
    assert list(frame.column_names if backend == "pyarrow" else frame.columns) == COLUMNS
    assert rows(frame) == [
        (at("2026-07-14"), 3.0, "FR", True, 2.0),
        (at("2026-07-15"), 4.5, "DE", False, 7.0),
    ]


@pytest.mark.parametrize("backend", BACKENDS)
def test_times_of_a_frame_stay_in_utc(backend: Backend) -> None:
    first = rows(ANSWER.to_frame(backend))[0][0]
    assert getattr(first, "utcoffset")() == at("2026-07-14").utcoffset()  # noqa: B009  # of whichever type it is


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_not_known_is_missing_in_a_frame(backend: Backend) -> None:
    answer = Answer(
        [
            Value(at("2026-07-14"), 3.0, None, complete=True),
            Value(at("2026-07-15"), 4.0, "FR", complete=True, before=1.0),
        ]
    )
    [(_, _, part, _, before), (*_, known)] = rows(answer.to_frame(backend))
    assert [pd.isna(part), pd.isna(before), known] == [True, True, 1.0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_values_make_an_empty_frame_with_the_columns(backend: Backend) -> None:
    frame = Answer().to_frame(backend)
    assert list(frame.column_names if backend == "pyarrow" else frame.columns) == COLUMNS
    assert rows(frame) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_narwhals_it_is_told_what_to_install(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "narwhals", None)
    with pytest.raises(Refused) as refused:
        ANSWER.to_frame(backend)
    assert str(refused.value) == f'narwhals is not installed; pip install "tallyline[frames]" {backend}'
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_the_library_itself_it_is_told_what_to_install(backend: Backend) -> None:
    script = f"""
import sys
sys.modules["{backend}"] = None
from tallyline.warehouse.answer import Answer
Answer().to_frame("{backend}")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        f'tallyline.errors.Refused: {backend} is not installed; pip install "tallyline[frames]" {backend}'
    )
