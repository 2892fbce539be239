"""A service that is spoken to by HTTP: what is tried again, what is told, and how pages follow each other."""

from __future__ import annotations

import re
from contextlib import ExitStack
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tallyline.api import After, Answer, Api, Link, Offset, Request, opened, part, stand_in
from tallyline.errors import Denied, Refused, Unavailable, UnexpectedAnswer, may_work_later
from tallyline.secret import remember
from tests.sources.conftest import service
from tests.sources.service import Said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.sources.service import Asked, Service

__all__ = ["service"]


@pytest.fixture
def api(service: Service) -> Iterator[Callable[..., Api]]:
    """Make clients of the service."""
    with ExitStack() as closing:
        yield lambda **who: closing.enter_context(opened(Api(service.url, name="shop", **who)))


def test_an_answer_is_data_and_headers(service: Service, api: Callable[..., Api]) -> None:
    service.answer("/v1/orders", Said({"data": [1]}, headers={"X-Kind": "list"}))
    answer = api().get("/v1/orders", {"limit": 3, "after": None})
    assert (answer.data, answer.headers["x-kind"]) == ({"data": [1]}, "list")
    assert service.asked[0].params == {"limit": "3"}


@pytest.mark.parametrize(
    ("who", "header"),
    [
        ({"token": "t0ken"}, {"authorization": "Bearer t0ken"}),
        ({"user": "reader", "password": "hunter2"}, {"authorization": "Basic cmVhZGVyOmh1bnRlcjI="}),
        ({"headers": {"X-Key": "k3y"}}, {"x-key": "k3y"}),
    ],
)
def test_who_asks_is_sent(
    service: Service, api: Callable[..., Api], who: dict[str, object], header: dict[str, str]
) -> None:
    service.answer("/", Said([]))
    api(**who).get("/")
    assert header.items() <= dict(service.asked[0].headers).items()


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_service_that_is_busy_or_broken_is_tried_again(
    service: Service, api: Callable[..., Api], status: int
) -> None:
    service.answer("/orders", Said("busy", status), Said("busy", status), Said([7]))
    assert api().get("/orders").data == [7]
    assert len(service.asked) == 3


def test_it_waits_as_long_as_it_is_asked_to(service: Service, api: Callable[..., Api], waits: list[float]) -> None:
    service.answer(
        "/orders",
        Said(status=429, headers={"Retry-After": "17"}),
        Said(
            status=503,
            headers={"Retry-After": "Tue, 14 Jul 2026 10:00:40 GMT", "Date": "Tue, 14 Jul 2026 10:00:10 GMT"},
        ),
        Said([7]),
    )
    assert api().get("/orders").data == [7]
    assert waits == [17, 30]


def test_a_wait_that_is_too_long_ends_it_at_once_and_says_how_long(service: Service, api: Callable[..., Api]) -> None:
    service.answer("/orders", Said("quota", 429, {"Retry-After": "3600"}))
    with pytest.raises(Unavailable, match="429") as unavailable:
        api().get("/orders")
    assert unavailable.value.wait == timedelta(hours=1)
    assert len(service.asked) == 1
    assert may_work_later(unavailable.value)


def test_a_service_that_stays_broken_is_unavailable(service: Service, api: Callable[..., Api]) -> None:
    service.answer("/orders", Said("we are moving house", 503))
    with pytest.raises(
        Unavailable, match=r'^shop: GET /orders answered 503 Service Unavailable: "we are moving house"$'
    ):
        api().get("/orders")
    assert len(service.asked) == 5


def test_a_service_that_is_not_there_is_unavailable() -> None:
    with opened(Api("http://127.0.0.1:1", name="shop")) as api, pytest.raises(Unavailable, match="cannot be reached"):
        api.get("/orders")


def test_an_answer_that_does_not_come_in_time_is_unavailable(service: Service, api: Callable[..., Api]) -> None:
    service.answer("/orders", Said(late=True))
    with pytest.raises(Unavailable, match=r"^shop: GET /orders: it did not answer in time$"):
        api(timeout=timedelta(milliseconds=50)).get("/orders")
    assert len(service.asked) == 5


def test_half_of_an_answer_is_asked_for_again(service: Service, api: Callable[..., Api]) -> None:
    service.answer("/orders", Said({"data": [1, 2, 3]}, half=True), Said({"data": [1, 2, 3]}))
    assert api().get("/orders").data == {"data": [1, 2, 3]}


def test_an_answer_that_is_no_json_is_tried_again_and_shown(service: Service, api: Callable[..., Api]) -> None:
    service.answer("/orders", Said(b"<html>Log in</html>"))
    with pytest.raises(UnexpectedAnswer, match=r"answered what is not JSON: <html>Log in</html>$") as told:
        api().get("/orders")
    assert len(service.asked) == 5
    assert not may_work_later(told.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_not_tried_again(service: Service, api: Callable[..., Api], status: int) -> None:
    service.answer("/orders", Said({"error": "no"}, status))
    with pytest.raises(Denied, match=rf'answered {status} .*{{"error": "no"}}') as denied:
        api().get("/orders", needs="the scope orders:read")
    assert len(service.asked) == 1
    assert ("it needs the scope orders:read" in str(denied.value)) == (status in {401, 403})


def test_a_status_that_is_expected_is_an_answer(service: Service, api: Callable[..., Api]) -> None:
    service.answer("/orders/7", Said({"message": "no such order"}, 404))
    answer = api().ask(Request("/orders/7"), expected=(404,))
    assert (answer.status, answer.data) == (404, {"message": "no such order"})


@pytest.mark.parametrize(
    ("charset", "shown"), [("latin-1", "café"), ("utf-8", r"caf\xe9"), ("base64", r"caf\xe9"), ("klingon", r"caf\xe9")]
)
def test_an_answer_is_shown_whatever_encoding_it_claims(
    service: Service, api: Callable[..., Api], charset: str, shown: str
) -> None:
    service.answer("/orders", Said(b"caf\xe9", headers={"Content-Type": f"text/html; charset={charset}"}))
    with pytest.raises(UnexpectedAnswer, match=f"answered what is not JSON: {re.escape(shown)}$"):
        api().get("/orders")


def test_what_is_asked_may_change_something() -> None:
    asked: list[Request] = []

    def shop(request: Request) -> Answer:
        asked.append(request)
        return Answer({"asked": request.method}, {}, 412 if request.verb == "PUT" else 200)

    service = stand_in(shop, "https://shop.example")
    assert service.ask(Request("/orders/7", verb="DELETE")).data == {"asked": "DELETE"}
    assert service.ask(Request("/orders/7", body={"paid": True}, verb="PUT"), expected=(412,)).status == 412
    assert asked == [Request("/orders/7", verb="DELETE"), Request("/orders/7", body={"paid": True}, verb="PUT")]


def test_a_service_that_has_moved_is_not_followed(service: Service, api: Callable[..., Api]) -> None:
    service.answer("/orders", Said(status=302, headers={"Location": "https://elsewhere.example"}))
    with pytest.raises(Denied, match="it has moved"):
        api(token=remember("planted-token")).get("/orders")


def test_a_secret_that_is_repeated_is_not_shown(service: Service, api: Callable[..., Api]) -> None:
    service.answer("/orders", Said({"error": "no such key: planted-token"}, 401))
    with pytest.raises(Denied) as denied:
        api(token=remember("planted-token")).get("/orders")
    assert "planted-token" not in str(denied.value)
    assert "***" in str(denied.value)


def test_pages_after_the_last_item(service: Service, api: Callable[..., Api]) -> None:
    def answered(asked: Asked) -> Said:
        after = int(asked.params.get("starting_after", 0))
        return Said({"data": [{"id": str(after + 1)}, {"id": str(after + 2)}], "has_more": after < 4})

    service.answer("/v1/orders", answered)
    pages = api().pages(Request("/v1/orders", {"limit": 2}), After())
    assert [[item["id"] for item in page.data["data"]] for page in pages] == [["1", "2"], ["3", "4"], ["5", "6"]]


def test_pages_by_offset(service: Service, api: Callable[..., Api]) -> None:
    service.answer("/report", lambda asked: Said({"rows": [asked.body["offset"]], "rowCount": 5}))
    pages = api().pages(Request("/report", body={"limit": 2, "offset": 0}), Offset(2))
    assert [page.data["rows"] for page in pages] == [[0], [2], [4]]


def test_pages_by_link(service: Service, api: Callable[..., Api]) -> None:
    def answered(asked: Asked) -> Said:
        page = int(asked.params.get("cursor", 1))
        more = f'<{service.url}/issues?cursor={page + 1}>; rel="next"; results="{"true" if page < 3 else "false"}"'
        return Said([page], headers={"Link": more})

    service.answer("/issues", answered)
    assert [page.data for page in api().pages(Request("/issues", {"query": "x"}), Link())] == [[1], [2], [3]]


def test_a_page_on_another_server_is_refused(service: Service, api: Callable[..., Api]) -> None:
    service.answer("/issues", Said([], headers={"Link": '<http://elsewhere.example/issues>; rel="next"'}))
    with pytest.raises(UnexpectedAnswer, match=r"at http://elsewhere\.example, which is another server"):
        list(api(user="reader").pages(Request("/issues"), Link()))


def test_a_page_that_names_itself_is_refused(service: Service, api: Callable[..., Api]) -> None:
    service.answer("/issues", Said([], headers={"Link": f'<{service.url}/issues>; rel="next"'}))
    with pytest.raises(UnexpectedAnswer, match="names itself as its next page"):
        list(api().pages(Request("/issues"), Link()))


def test_a_service_without_a_url_has_the_one_that_is_known() -> None:
    with opened(Api(name="stripe")) as api:
        with pytest.raises(Refused, match=r"the service has no URL; give it one under \[services\]"):
            api.get("/v1")
        assert api.default("https://api.stripe.com").url == "https://api.stripe.com"
        assert api.default("https://other.example").url == "https://api.stripe.com"


@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("data.rows", list, r'^the answer has no "data.rows"; it is \{"data": \[1, "a", true, null\]\}$'),
        ("data.0", str, '^"data.0" of the answer is 1, where text is expected$'),
        ("data.1", int, '^"data.1" of the answer is "a", where a whole number is expected$'),
        ("data.2", int, '^"data.2" of the answer is true, where a whole number is expected$'),
        ("data.3", list, '^"data.3" of the answer is null, where a list is expected$'),
        ("data.9", int, 'has no "data.9"'),
    ],
)
def test_a_part_that_is_not_there_is_named_and_the_answer_shown(path: str, kind: type, said: str) -> None:
    with pytest.raises(UnexpectedAnswer, match=said):
        part({"data": [1, "a", True, None]}, path, kind)


def test_whole_numbers_are_numbers() -> None:
    assert part({"value": 3}, "value", float) == 3.0
