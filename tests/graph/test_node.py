"""What can be a node, and how it is called."""

from __future__ import annotations

import functools

import pytest

from tallyline.errors import GraphError, UnknownName
from tallyline.graph import node


class Doubler:
    """A class whose instances can be called."""

    def __call__(self, row: int) -> int:
        """Return the double."""
        return row * 2


def doubled(row: int) -> int:
    return row * 2


@pytest.mark.parametrize(
    ("work", "name"),
    [
        (doubled, "doubled"),
        (str.upper, "upper"),
        (len, "len"),
        (int, "int"),
        (Doubler(), "Doubler"),
        (functools.partial(doubled), "partial"),
        ([], "list"),
        ({1: 2}.items(), "dict_items"),
        (range(3), "range"),
        ("abc", "str"),
        (iter([1]), "list_iterator"),
    ],
    ids=lambda each: each if isinstance(each, str) else type(each).__name__,
)
def test_a_node_is_called_as_its_work_or_as_the_kind_of_it(work: object, name: str) -> None:
    assert node(work).name == name  # type: ignore[arg-type]


def test_a_node_may_be_given_a_name() -> None:
    assert node(len, name="count").name == "count"


def test_a_node_that_is_named_again_is_another_node() -> None:
    first = node(len, services={"database": "shop"})
    second = node(first, name="count")
    assert second is not first
    assert (second.work, second.name, second.services) == (len, "count", {"database": "shop"})
    assert first.name == "len"


def test_a_node_of_a_node_is_that_node() -> None:
    first = node(len)
    assert node(first) is first


@pytest.mark.parametrize("work", [3, None, 1.5, object()])
def test_what_is_neither_iterable_nor_callable_is_refused(work: object) -> None:
    with pytest.raises(GraphError) as refused:
        node(work)  # type: ignore[arg-type]
    assert str(refused.value) == f"{work!r} cannot be a node: a node is an iterable or a callable"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("concurrency", 0),
        ("concurrency", -1),
        ("max_errors", -1),
        ("retry", -1),
        ("timeout", 0),
        ("timeout", -0.5),
    ],
)
def test_an_option_that_is_too_small_is_refused(option: str, value: float) -> None:
    with pytest.raises(GraphError, match=f"^len has {option}={value}, which is too small$"):
        node(len, **{option: value})  # type: ignore[arg-type]


def test_another_way_to_treat_an_error_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UnknownName, match='there is no way to treat an error "ignore"; there are: fail, skip'):
        node(len, on_error="ignore")
