"""Services: given by the names of parameters, opened when first needed, and closed whatever happens."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from tallyline.errors import GraphError, NodeFailed, Refused, RunFailed
from tallyline.graph import Graph, Report, State, node, run, service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tallyline.graph import Service


class Log(list[str]):
    """What happened to services, in order; makes services that write it."""

    def keeping(self, name: str) -> Service:
        """Return a service that is opened and closed."""

        @contextmanager
        def opened() -> Iterator[str]:
            self.append(f"open {name}")
            try:
                yield name
            finally:
                self.append(f"close {name}")

        return service(opened)


@pytest.fixture
def log() -> Log:
    return Log()


def rows_of(work: Any, services: dict[str, object]) -> list[object]:  # noqa: ANN401  # whatever can be a node
    rows: list[object] = []
    run(Graph([1], work, rows.append), services)
    return rows


def test_a_service_is_given_by_the_name_of_a_parameter() -> None:
    assert rows_of(lambda row, rate: row * rate, {"rate": 3}) == [3]


def test_a_service_is_given_by_the_name_of_a_keyword() -> None:
    def priced(row: int, *, rate: int) -> int:
        return row * rate

    assert rows_of(priced, {"rate": 3}) == [3]


@pytest.mark.parametrize("value", [0, "", None, [], False])
def test_falsy_values_are_services(value: object) -> None:
    assert rows_of(lambda _, given: [given], {"given": value}) == [[value]]


def test_a_service_may_go_by_another_name() -> None:
    work = node(lambda row, database: f"{database} {row}", services={"database": "shop"})
    assert rows_of(work, {"shop": "the shop", "database": "another"}) == ["the shop 1"]


def test_a_default_stands_where_there_is_no_such_service() -> None:
    assert rows_of(lambda row, rate=2: row * rate, {}) == [2]


def test_a_service_goes_before_a_default() -> None:
    assert rows_of(lambda row, rate=2: row * rate, {"rate": 3}) == [3]


def test_a_start_is_given_services_and_no_row() -> None:
    rows: list[object] = []
    run(Graph(lambda numbers: numbers, rows.append), {"numbers": [1, 2]})
    assert rows == [1, 2]


def test_an_object_is_given_services_where_it_is_called() -> None:
    class Priced:
        def __call__(self, row: int, rate: int) -> int:
            return row * rate

    assert rows_of(Priced(), {"rate": 3}) == [3]


def test_builtins_ask_for_nothing() -> None:
    assert rows_of(str, {"object": "none of str's business", "encoding": "utf-8"}) == ["1"]


def test_the_row_is_no_service() -> None:
    assert rows_of(lambda rate: rate, {"rate": 3}) == [1]


def test_more_parameters_of_any_name_ask_for_nothing() -> None:
    def anything(row: int, *others: object, **named: object) -> object:
        return [row, *others, named]

    assert rows_of(anything, {"others": 1, "named": 2}) == [[1, {}]]


def test_what_a_factory_returns_is_the_service() -> None:
    assert rows_of(lambda _, shop: shop, {"shop": service(lambda: "made")}) == ["made"]


def test_a_factory_may_ask_for_other_services() -> None:
    services = {"url": "db", "shop": service(lambda url: f"engine of {url}"), "kiosk": service(lambda shop: [shop])}
    assert rows_of(lambda _, kiosk: kiosk, services) == [["engine of db"]]


def test_a_service_is_opened_once_for_all_who_ask(log: Log) -> None:
    graph = Graph(lambda shop: [shop], lambda row, shop: row + shop, lambda row, kiosk: row + kiosk)
    run(graph, {"shop": log.keeping("shop"), "kiosk": service(lambda shop: shop)})
    assert log == ["open shop", "close shop"]


def test_a_service_is_opened_again_in_the_next_run(log: Log) -> None:
    services = {"shop": log.keeping("shop")}
    graph = Graph([1], lambda row, shop: [row, shop])
    run(graph, services)
    run(graph, services)
    assert log == ["open shop", "close shop"] * 2


def test_a_service_that_nobody_asks_for_is_not_opened(log: Log) -> None:
    assert rows_of(lambda row: row, {"shop": log.keeping("shop")}) == [1]
    assert log == []


def test_services_are_open_while_rows_pass_and_closed_in_reverse_order(log: Log) -> None:
    def work(row: int, first: str, second: str) -> None:
        log.append(f"row {row}")

    run(Graph([1], work), {"second": log.keeping("second"), "first": log.keeping("first")})
    assert log == ["open first", "open second", "row 1", "close second", "close first"]


def test_a_service_outlives_the_one_that_asked_for_it(log: Log) -> None:
    @contextmanager
    def session(shop: str) -> Iterator[str]:
        log.append(f"open session of {shop}")
        yield "session"
        log.append("close session")

    rows_of(lambda row, session: [row, session], {"shop": log.keeping("shop"), "session": service(session)})
    assert log == ["open shop", "open session of shop", "close session", "close shop"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("beside", [0, 1])
def test_services_are_closed_in_reverse_order_whatever_ends_the_run(
    log: Log, error: type[BaseException], beside: int
) -> None:
    def work(row: int, first: str, second: str) -> None:
        raise error

    graph = Graph([1], work)
    for _ in range(beside):
        graph >> [1] >> graph["work"]
    with pytest.raises((NodeFailed, error)):
        run(graph, {"first": log.keeping("first"), "second": log.keeping("second")})
    assert log == ["open first", "open second", "close second", "close first"]


def test_generators_are_closed_before_the_services_that_they_use(log: Log) -> None:
    def start(shop: str) -> Iterator[int]:
        try:
            yield from range(10_000)
        finally:
            log.append("close start")

    with pytest.raises(NodeFailed):
        run(Graph(start, lambda row: 1 // row), {"shop": log.keeping("shop")})
    assert log == ["open shop", "close start", "close shop"]


def test_a_service_learns_what_ended_the_run() -> None:
    learned: list[BaseException] = []

    @contextmanager
    def transaction() -> Iterator[None]:
        try:
            yield
        except NodeFailed as failed:
            learned.append(failed)
            raise

    with pytest.raises(NodeFailed) as failed:
        run(Graph([0], lambda row, transaction: 1 // row or transaction), {"transaction": service(transaction)})
    assert learned == [failed.value]


def test_a_service_cannot_hide_what_ended_the_run() -> None:
    @contextmanager
    def forgiving() -> Iterator[None]:
        with suppress(NodeFailed):
            yield

    with pytest.raises(NodeFailed):
        run(Graph([0], lambda row, forgiving: 1 // row or forgiving), {"forgiving": service(forgiving)})


def failing_to_close() -> Service:
    @contextmanager
    def opened() -> Iterator[str]:
        try:
            yield "shop"
        finally:
            msg = "the server has gone"
            raise OSError(msg)

    return service(opened)


def test_a_service_that_fails_to_close_fails_the_run(log: Log) -> None:
    observed: list[tuple[State, str]] = []
    services = {"shop": failing_to_close(), "kiosk": log.keeping("kiosk")}

    def observe(report: Report) -> None:
        observed.append((report.state, report.error))

    with pytest.raises(RunFailed) as failed:
        run(Graph([1], lambda row, kiosk, shop: [row, kiosk, shop]), services, observe)
    message = "a service failed when it was closed: OSError: the server has gone"
    assert str(failed.value) == message
    assert observed[-1] == (State.FAILED, message)
    assert log == ["open kiosk", "close kiosk"]


def test_a_service_that_fails_to_close_does_not_hide_what_ended_the_run() -> None:
    with pytest.raises(NodeFailed, match=r"^<lambda> failed at row 0: ZeroDivisionError") as failed:
        run(Graph([0], lambda row, shop: 1 // row or shop), {"shop": failing_to_close()})
    assert failed.value.__notes__ == ["a service failed when it was closed: OSError: the server has gone"]


def test_a_service_that_cannot_be_opened_fails_the_node_that_asked(log: Log) -> None:
    started: list[int] = []

    def start(kiosk: str) -> list[int]:
        started.append(1)
        return started

    def refuse() -> None:
        msg = "no such host"
        raise OSError(msg)

    observed: list[Report] = []
    with pytest.raises(NodeFailed, match=r"^work failed: OSError: no such host$"):
        run(
            Graph(start, node(lambda row, shop: [row, shop], name="work")),
            {"shop": service(refuse), "kiosk": log.keeping("kiosk")},
            observed.append,
        )
    assert started == []
    assert log == ["open kiosk", "close kiosk"]
    assert str(observed[-1]) == " - start in=0 out=0 [stopped]\n - work in=0 out=0 err=1 [failed]"


def test_a_service_that_refuses_what_it_was_given_refuses_the_run() -> None:
    def refuse() -> None:
        msg = "the shop needs the environment variable SHOP_URL, which is not set"
        raise Refused(msg)

    with pytest.raises(Refused, match=r"^the shop needs the environment variable SHOP_URL, which is not set$"):
        run(Graph([1], lambda row, shop: [row, shop]), {"shop": service(refuse)})


def refusal(work: Callable[..., object], **services: object) -> str:
    """Run a graph whose services are wrong, and return how that is told; nothing may have started."""
    started: list[int] = []

    def start(**_: object) -> list[int]:
        started.append(1)
        return started

    with pytest.raises(GraphError) as refused:
        run(Graph(start, node(work, name="work")), services)
    assert started == []
    return str(refused.value)


def test_a_missing_service_is_refused_with_those_that_exist() -> None:
    assert refusal(lambda row, shpo: [row, shpo], shop=1, kiosk=2) == (
        'work asks for the service "shpo", which does not exist; did you mean "shop"? There are: kiosk, shop'
    )


def test_a_missing_service_is_refused_where_there_are_none() -> None:
    assert (
        refusal(lambda row, shop: [row, shop])
        == 'work asks for the service "shop", which does not exist; there are none'
    )


def test_a_missing_service_is_refused_under_the_name_it_was_given() -> None:
    work = node(lambda row, database: [row, database], services={"database": "shop"})
    with pytest.raises(GraphError, match=r'^<lambda> asks for the service "shop", which does not exist; there are: da'):
        run(Graph([1], work), {"database": 1})


def test_a_missing_service_of_a_service_is_refused(log: Log) -> None:
    assert refusal(
        lambda row, kiosk, shop: [row, kiosk, shop], kiosk=log.keeping("kiosk"), shop=service(lambda url: url)
    ) == ('the service "shop" asks for the service "url", which does not exist; there are: kiosk, shop')
    assert log == []


def test_services_that_ask_for_each_other_are_refused() -> None:
    assert refusal(
        lambda row, shop: [row, shop], shop=service(lambda kiosk: kiosk), kiosk=service(lambda shop: shop)
    ) == ('the service "shop" cannot be opened before itself: shop asks for kiosk asks for shop')


def test_a_service_that_asks_for_itself_is_refused() -> None:
    assert refusal(lambda row, shop: [row, shop], shop=service(lambda shop: shop)) == (
        'the service "shop" cannot be opened before itself: shop asks for shop'
    )


def test_a_start_that_wants_a_row_is_told_so_as_a_missing_service() -> None:
    with pytest.raises(GraphError, match=r'^wants asks for the service "row", which does not exist; there are none$'):
        run(Graph(node(lambda row: row, name="wants")))
