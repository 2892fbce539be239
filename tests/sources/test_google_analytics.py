"""Google Analytics 4: who asks, what is asked, what its rows mean, and what is refused rather than told wrongly."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import httpx2
import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from google.auth import jwt

from tallyline import Window, read_google_analytics, run
from tallyline.api import Api
from tallyline.errors import Denied, NodeFailed, Refused, SourceFailed, Unavailable, UnexpectedAnswer
from tallyline.plan import Kind
from tallyline.project import load_project
from tallyline.recording import Recording, replaying
from tallyline.sources.google_analytics import GoogleAnalyticsSource
from tallyline.warehouse import open_warehouse
from tallyline.window import Grain, parse_moment
from tests.cli.terminal import make_project, tallyline
from tests.sources.service import Said
from tests.warehouse.publishing import facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.sources.service import Asked, Service

    Row = tuple[dict[str, object], dict[str, object]]

WHO = "reader@shop.iam.gserviceaccount.com"
TOKEN = "ya29.planted-access-token"  # noqa: S105  # the test's own
REPORT = "/v1beta/properties/123456789:runReport"
METADATA = "/v1beta/properties/123456789/metadata"
PARIS, NEW_YORK, KOLKATA = ZoneInfo("Europe/Paris"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")
SESSIONS = {"sessions": "visits.sessions"}
NOW = datetime(2026, 7, 20, 10, 30, tzinfo=UTC)


def window(since: str, until: str, zone: ZoneInfo = PARIS) -> Window:
    """Return the window between two moments of a zone."""
    return Window(parse_moment(since, zone), parse_moment(until, zone))


DAY = window("2026-07-14", "2026-07-15")


@pytest.fixture(scope="module")
def keys() -> tuple[str, bytes]:
    """The private key of a service account, and the public one that Google has."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def credentials(service: Service, keys: tuple[str, bytes]) -> str:
    """What the file of a service account's key says."""
    service.answer("/token", Said({"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}))
    account = {
        "type": "service_account",
        "project_id": "shop",
        "private_key_id": "planted-key-id",
        "private_key": keys[0],
        "client_email": WHO,
        "token_uri": f"{service.url}/token",
    }
    return json.dumps(account)


@pytest.fixture
def api(service: Service, credentials: str) -> Iterator[Api]:
    """A client of Google Analytics."""
    made = Api(service.url, name="analytics", credentials=credentials)
    yield made
    made.close()


def report(asked: Asked, rows: Sequence[Sequence[str]], zone: str = "Europe/Paris", **more: object) -> dict[str, Any]:
    """Return a report as Google writes it: the rows' values are those of the dimensions, then those of the metrics."""
    dimensions = asked.body["dimensions"]
    told = [
        {
            "dimensionValues": [{"value": value} for value in row[: len(dimensions)]],
            "metricValues": [{"value": value} for value in row[len(dimensions) :]],
        }
        for row in rows[asked.body["offset"] : asked.body["offset"] + asked.body["limit"]]
    ]
    return {
        "dimensionHeaders": dimensions,
        "metricHeaders": [{**metric, "type": "TYPE_INTEGER"} for metric in asked.body["metrics"]],
        **({"rows": told, "rowCount": len(rows)} if rows else {}),
        "metadata": {"currencyCode": "EUR", "timeZone": zone, **more},
        "kind": "analyticsData#runReport",
    }


def reports(*rows: Sequence[str], zone: str = "Europe/Paris", **more: object) -> Callable[[Asked], Said]:
    """Answer each request for a report with these rows."""
    return lambda asked: Said(report(asked, rows, zone, **more))


def read(api: Api, whole: Window = DAY, **more: Any) -> list[Row]:  # noqa: ANN401  # of several kinds
    """Read sessions to the end."""
    return list(
        read_google_analytics(
            api, 123456789, **{"measures": SESSIONS, "window": whole, "zone": PARIS, "now": NOW, **more}
        )
    )


def bodies(service: Service) -> list[Any]:
    """Return which reports were asked for."""
    return [asked.body for asked in service.asked if asked.path == REPORT]


def test_rows_become_dims_and_metrics(service: Service, api: Api) -> None:
    service.answer(REPORT, reports(["20260714", "00", "Direct", "7"], ["20260714", "13", "Paid Search", "2"]))
    assert read(api, dimensions={"sessionDefaultChannelGroup": "channel"}) == [
        ({"time": datetime(2026, 7, 13, 22, tzinfo=UTC), "channel": "Direct"}, {"visits.sessions": 7}),
        ({"time": datetime(2026, 7, 14, 11, tzinfo=UTC), "channel": "Paid Search"}, {"visits.sessions": 2}),
    ]
    assert bodies(service) == [
        {
            "dateRanges": [{"startDate": "2026-07-14", "endDate": "2026-07-14"}],
            "dimensions": [{"name": "date"}, {"name": "hour"}, {"name": "sessionDefaultChannelGroup"}],
            "metrics": [{"name": "sessions"}],
            "orderBys": [
                {"dimension": {"dimensionName": name}} for name in ("date", "hour", "sessionDefaultChannelGroup")
            ],
            "keepEmptyRows": False,
            "limit": 100_000,
            "offset": 0,
        }
    ]


def test_the_service_account_signs_in_once_and_its_token_is_sent(service: Service, api: Api) -> None:
    service.answer(REPORT, *[Said(status=500), Said(status=500)], Said({"metadata": {"timeZone": "Europe/Paris"}}))
    assert read(api) == []
    assert [asked.path for asked in service.asked] == ["/token", REPORT, REPORT, REPORT]
    assert {asked.headers["authorization"] for asked in service.asked[1:]} == {f"Bearer {TOKEN}"}
    assert "authorization" not in service.asked[0].headers


def test_who_asks_is_signed_with_the_key_of_the_service_account(
    service: Service, api: Api, keys: tuple[str, bytes]
) -> None:
    service.answer(REPORT, reports())
    read(api)
    sent = parse_qs(service.asked[0].body)
    assert sent["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    claims = jwt.decode(sent["assertion"][0], certs=keys[1])  # type: ignore[no-untyped-call]  # verifies the signature
    assert (claims["iss"], claims["aud"]) == (WHO, "https://oauth2.googleapis.com/token")
    assert claims["scope"] == "https://www.googleapis.com/auth/analytics.readonly"
    assert claims["exp"] - claims["iat"] == 3600


def test_a_token_that_has_expired_is_asked_for_anew(service: Service, api: Api) -> None:
    service.answer("/token", Said({"access_token": TOKEN, "expires_in": 10}))
    service.answer(REPORT, reports(*[["20260714", f"{hour:02}", "1"] for hour in range(6)]))
    assert len(read(api, page=2)) == 6
    assert [asked.path for asked in service.asked] == ["/token", REPORT] * 3


def test_a_window_without_data_is_empty(service: Service, api: Api) -> None:
    service.answer(REPORT, reports())
    assert read(api) == []


def test_three_pages(service: Service, api: Api) -> None:
    service.answer(REPORT, reports(*[["20260714", f"{hour:02}", str(hour)] for hour in range(5)]))
    assert [metrics["visits.sessions"] for _, metrics in read(api, page=2)] == [0, 1, 2, 3, 4]
    assert [(body["offset"], body["limit"]) for body in bodies(service)] == [(0, 2), (2, 2), (4, 2)]


def test_rows_that_did_not_come_are_missed(service: Service, api: Api) -> None:
    service.answer(REPORT, lambda asked: Said({**report(asked, [["20260714", "00", "1"]]), "rowCount": 2}))
    with pytest.raises(UnexpectedAnswer, match='"rowCount" of the answer is 2, but 1 rows came'):
        read(api)


def test_a_report_that_grows_while_it_is_read_is_read_again_later(service: Service, api: Api) -> None:
    rows = [["20260714", f"{hour:02}", "1"] for hour in range(4)]
    service.answer(REPORT, lambda asked: Said(report(asked, rows if asked.body["offset"] else rows[:3])))
    with pytest.raises(Unavailable, match="while it was read, the report got 4 rows, and had 3"):
        read(api, page=2)


def test_the_window_is_asked_in_days_of_the_property_and_its_hours_alone_are_told(service: Service, api: Api) -> None:
    hours = [[day, f"{hour:02}", "1"] for day in ("20260713", "20260714") for hour in range(24)]
    service.answer(REPORT, reports(*hours, zone="America/New_York"))
    rows = read(api, source_zone=NEW_YORK)
    assert bodies(service)[0]["dateRanges"] == [{"startDate": "2026-07-13", "endDate": "2026-07-14"}]
    assert [dims["time"] for dims, _ in rows] == list(DAY.buckets(Grain.HOUR, PARIS))


def test_no_day_that_is_yet_to_come_is_asked_for(service: Service, api: Api) -> None:
    service.answer(REPORT, reports())
    read(api, window("2026-07-20", "2026-08-01"))
    read(api, window("2026-07-27", "2026-08-10"), grain=Grain.WEEK)
    assert [body["dateRanges"] for body in bodies(service)] == [[{"startDate": "2026-07-20", "endDate": "2026-07-20"}]]


def test_an_hour_that_the_clock_shows_twice_is_told_under_the_first(service: Service, api: Api) -> None:
    service.answer(REPORT, reports(["20261025", "01", "1"], ["20261025", "02", "5"], ["20261025", "03", "1"]))
    rows = read(api, window("2026-10-25", "2026-10-26"), now=datetime(2026, 11, 1, tzinfo=UTC))
    assert [f"{dims['time']:%H}" for dims, _ in rows] == ["23", "00", "02"]


def test_days_are_days_of_the_property(service: Service, api: Api) -> None:
    service.answer(REPORT, reports(["20260714", "7"]))
    assert read(api, grain=Grain.DAY) == [({"time": DAY.since}, {"visits.sessions": 7})]
    assert bodies(service)[0]["dimensions"] == [{"name": "date"}]


@pytest.mark.parametrize("grain", [Grain.WEEK, Grain.MONTH, Grain.QUARTER])
def test_what_cannot_be_added_up_is_asked_anew_for_each_bucket(service: Service, api: Api, grain: Grain) -> None:
    service.answer(REPORT, reports(["France", "7"]))
    whole = window("2026-04-01", "2026-07-01").widened(grain, PARIS)
    rows = read(api, whole, measures={"totalUsers": "visitors"}, dimensions={"country": "country"}, grain=grain)
    buckets = list(whole.buckets(grain, PARIS))
    assert rows == [({"time": bucket, "country": "France"}, {"visitors": 7}) for bucket in buckets]
    asked = [body["dateRanges"][0] for body in bodies(service)]
    assert [each["startDate"] for each in asked] == [f"{bucket.astimezone(PARIS):%Y-%m-%d}" for bucket in buckets]
    assert {body["keepEmptyRows"] for body in bodies(service)} == {True}
    assert {len(body["dimensions"]) for body in bodies(service)} == {1}


def test_a_month_without_dimensions_is_one_row(service: Service, api: Api) -> None:
    answer = {"metricHeaders": [{"name": "totalUsers"}], "rowCount": 1, "metadata": {"timeZone": "Europe/Paris"}}
    service.answer(REPORT, Said({**answer, "rows": [{"metricValues": [{"value": "12"}]}]}))
    june = window("2026-06-01", "2026-07-01")
    assert read(api, june, measures={"totalUsers": "visitors"}, grain=Grain.MONTH) == [
        ({"time": june.since}, {"visitors": 12})
    ]


def test_a_dimension_that_is_not_set_is_not_known_and_the_rest_keeps_its_name(service: Service, api: Api) -> None:
    service.answer(REPORT, reports(["20260714", "00", "(not set)", "7"], ["20260714", "00", "(other)", "2"]))
    assert [dims["country"] for dims, _ in read(api, dimensions={"country": "country"})] == [None, "(other)"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"zone": "America/New_York"},
            r'the property tells times in America/New_York, not in Europe/Paris; write timezone = "America/New_York"',
        ),
        ({"zone": "Mars/Olympus"}, 'there is no time zone "Mars/Olympus"'),
        (
            {"samplingMetadatas": [{"samplesReadCount": "250000", "samplingSpaceSize": "1000000"}]},
            "not exact: numbers were estimated from a sample of 25 % of the events",
        ),
        ({"subjectToThresholding": True}, "not exact: thresholds apply: rows of few users may be missing"),
        ({"dataLossFromOtherRow": True}, r'not exact: dimensions have too many values: .* as "\(other\)"'),
        (
            {"dataTruncationReasons": [{"dataTruncationType": "DATA_TRUNCATION_TYPE_DATA_DRIVEN_ATTRIBUTION"}]},
            "not exact: data are missing: DATA_TRUNCATION_TYPE_DATA_DRIVEN_ATTRIBUTION",
        ),
        (
            {
                "schemaRestrictionResponse": {
                    "activeMetricRestrictions": [
                        {"metricName": "purchaseRevenue", "restrictedMetricTypes": ["REVENUE_DATA"]}
                    ]
                }
            },
            f"{WHO} may not see purchaseRevenue of property 123456789, which would be told as zero",
        ),
    ],
)
def test_what_would_be_told_wrongly_is_refused(service: Service, api: Api, more: dict[str, Any], said: str) -> None:
    service.answer(REPORT, reports(**more))
    with pytest.raises((Refused, SourceFailed), match=said):
        read(api)


def test_a_sample_of_everything_is_exact(service: Service, api: Api) -> None:
    service.answer(REPORT, reports(samplingMetadatas=[{"samplesReadCount": "7", "samplingSpaceSize": "7"}]))
    assert read(api) == []


@pytest.mark.parametrize("name", ["Europe/Paris", "Europe/Berlin", "CET"])
def test_zones_that_show_the_same_times_are_the_same(service: Service, api: Api, name: str) -> None:
    service.answer(REPORT, reports(["20260714", "7"], zone=name))
    assert len(read(api, grain=Grain.DAY)) == 1


@pytest.mark.parametrize("grain", [Grain.DAY, Grain.MONTH])
def test_days_of_another_zone_are_refused_before_anything_is_asked(service: Service, api: Api, grain: Grain) -> None:
    said = f'a {grain} of the property, in America/New_York, is none in Europe/Paris: .* with grain = "hour"'
    with pytest.raises(Refused, match=said):
        read(api, grain=grain, source_zone=NEW_YORK)
    assert service.asked == []


def test_hours_that_begin_at_half_past_are_refused(service: Service, api: Api) -> None:
    service.answer(REPORT, reports(["20260714", "07", "1"], zone="Asia/Kolkata"))
    with pytest.raises(Refused, match="in Asia/Kolkata, begin in the middle of those in Europe/Paris"):
        read(api, source_zone=KOLKATA)


def changed(asked: Asked, path: str, value: object) -> Said:
    """Return a report in which one thing is not as it was."""
    told: Any = report(asked, [["20260714", "00", "7"]])
    *keys, last = [int(key) if key.isdecimal() else key for key in path.split(".")]
    at = told
    for key in keys:
        at = at[key]
    at[last] = value
    return Said(told)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("metadata", None, '"metadata" of the answer is null, where an object is expected'),
        ("metadata", {}, 'the answer has no "metadata.timeZone"'),
        ("rows", "none", '"rows" of the answer is "none", where a list is expected'),
        ("rows", None, '"rowCount" of the answer is 1, but 0 rows came'),
        ("metricHeaders", [], r""""metricHeaders" of the answer are \[\], where \['sessions'\] were asked for"""),
        ("dimensionHeaders.0.name", "day", r"are \['day', 'hour'\], where \['date', 'hour'\] were asked for"),
        ("rows.0.metricValues", [], r'"metricValues" of a row are \[\], where 1 were asked for'),
        ("rows.0.metricValues.0", {"number": 7}, r'the answer has no "value"; it is \{"number": 7\}'),
        ("rows.0.metricValues.0.value", "many", '"metricValues" of a row hold "many", where a number is expected'),
        ("rows.0.dimensionValues.1.value", "noon", r"begin with \['20260714', 'noon'\], where date and hour are exp"),
    ],
)
def test_an_answer_of_another_shape_is_named_and_shown(
    service: Service, api: Api, path: str, value: object, said: str
) -> None:
    service.answer(REPORT, lambda asked: changed(asked, path, value))
    with pytest.raises(UnexpectedAnswer, match=said):
        read(api)


def test_what_is_no_report_at_all_is_shown(service: Service, api: Api) -> None:
    service.answer(REPORT, Said(["a", "list"]))
    with pytest.raises(UnexpectedAnswer, match=r'the answer has no "metadata"; it is \["a", "list"\]'):
        read(api)


@pytest.mark.parametrize("path", ["/token", REPORT])
def test_google_is_left_alone_as_long_as_it_asks(service: Service, api: Api, waits: list[float], path: str) -> None:
    service.answer(REPORT, reports(["20260714", "00", "1"]))
    good = {"/token": Said({"access_token": TOKEN}), REPORT: Said({"metadata": {"timeZone": "Europe/Paris"}})}[path]
    service.answer(path, Said({"error": {"code": 429}}, 429, {"Retry-After": "9"}), Said(status=500), good)
    read(api)
    assert waits[0] == 9
    assert len(waits) == 2


@pytest.mark.parametrize("path", ["/token", REPORT])
def test_half_of_an_answer_is_asked_for_again(service: Service, api: Api, path: str) -> None:
    service.answer(REPORT, Said({"metadata": {"timeZone": "Europe/Paris"}}))
    whole = {"/token": {"access_token": TOKEN}, REPORT: {"metadata": {"timeZone": "Europe/Paris"}}}[path]
    service.answer(path, Said(whole, half=True), Said(whole))
    assert read(api) == []


@pytest.mark.parametrize(("path", "said"), [("/token", "signing in at http"), (REPORT, "POST /v1beta")])
def test_google_that_does_not_answer_in_time_is_unavailable(
    service: Service, credentials: str, path: str, said: str
) -> None:
    service.answer(path, Said(late=True))
    api = Api(service.url, name="analytics", credentials=credentials, timeout=datetime.resolution * 50_000)
    with pytest.raises(Unavailable, match=f"^analytics: {said}.* did not answer in time$"):
        read(api)
    api.close()
    assert [asked.path for asked in service.asked].count(path) == 5


def test_a_quota_that_is_used_up_is_no_reason_to_change_anything(service: Service, api: Api) -> None:
    message = "Exhausted property tokens per hour. These quota tokens will return in under 60 minutes."
    service.answer(REPORT, Said({"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED"}}, 429))
    with pytest.raises(Unavailable, match=r"answered 429 .*Exhausted property tokens per hour"):
        read(api)


def refusal(code: int, message: str, status: str) -> Said:
    """Return an error as Google writes it."""
    return Said({"error": {"code": code, "message": message, "status": status}}, code)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            refusal(403, "User does not have sufficient permissions for this property.", "PERMISSION_DENIED"),
            rf"answered 403 .*; add {WHO} as Viewer of property 123456789 \(.*\), or correct the number$",
        ),
        (
            refusal(403, "Google Analytics Data API has not been used in project 7 before or it is disabled.", "x"),
            f"; enable the Google Analytics Data API in the Google Cloud project of {WHO}$",
        ),
        (
            refusal(400, "Field sesions is not a valid metric.", "INVALID_ARGUMENT"),
            "Field sesions is not a valid metric.*; the names that there are stand at https://developers.google.com",
        ),
        (
            refusal(400, "Please remove sessions to make the request compatible.", "INVALID_ARGUMENT"),
            r'Please remove sessions to make the request compatible.", "status": "INVALID_ARGUMENT"}}$',
        ),
        (refusal(401, "Request had invalid authentication credentials.", "UNAUTHENTICATED"), "answered 401 "),
    ],
)
def test_a_refusal_says_what_to_do_and_is_not_tried_again(service: Service, api: Api, answer: Said, said: str) -> None:
    service.answer(REPORT, answer)
    with pytest.raises(Denied, match=said):
        read(api)
    assert len(bodies(service)) == 1


def test_a_login_that_is_refused_says_what_to_do(service: Service, api: Api) -> None:
    service.answer("/token", Said({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, 400))
    said = (
        f"^analytics: Google does not accept the credentials of {WHO}: invalid_grant: Invalid JWT Signature.; "
        "make a new key for this service account, and check this machine's clock$"
    )
    with pytest.raises(Denied, match=said):
        read(api)
    assert [asked.path for asked in service.asked] == ["/token"]


@pytest.mark.parametrize("body", [b"<html>", {"id_token": 3}, ["token"]])
def test_a_login_that_is_answered_otherwise_is_shown(service: Service, api: Api, body: object) -> None:
    service.answer("/token", Said(body))
    with pytest.raises(UnexpectedAnswer, match='the answer has no "access_token"'):
        read(api)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r'analytics: Google Analytics needs credentials; write credentials = "\$\{GOOGLE_CREDENTIALS\}"'),
        ("key.json", "analytics: the credentials are no JSON; give the JSON file of a key of a service account"),
        ('{"type": "authorized_user"}', "the credentials are authorized_user; give the JSON file"),
        ('{"type": "service_account", "token_uri": "x"}', "no key that can be used: .*client_email"),
        (
            '{"type": "service_account", "token_uri": "x", "client_email": "x", "private_key": "planted-key"}',
            r"no key that can be used: ",
        ),
    ],
)
def test_credentials_that_are_none_are_refused(text: str, said: str) -> None:
    api = Api("http://127.0.0.1:1", name="analytics", credentials=text)
    with pytest.raises(Refused, match=said) as refused:
        read(api)
    api.close()
    assert "planted-key" not in str(refused.value)


def test_a_service_that_is_a_database_is_refused() -> None:
    with pytest.raises(Refused, match=r"^Google Analytics is spoken to by HTTP, .*: analytics = \{ credentials"):
        read(object())  # type: ignore[arg-type]


def test_google_auth_is_asked_for_where_it_is_missing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "google.oauth2.service_account", None)
    with pytest.raises(Refused, match=r'pip install "tallyline\[ga4\]"'):
        read(api)


def test_a_stand_in_for_google_is_asked_without_credentials() -> None:
    told = {"metadata": {"timeZone": "Europe/Paris"}}
    api = Api("http://google", transport=httpx2.MockTransport(lambda _: httpx2.Response(200, json=told)))
    assert read(api) == []
    api.close()


def test_more_than_google_reports_at_once_is_refused(api: Api) -> None:
    with pytest.raises(Refused, match=r"at most 10 metrics by 9 dimensions, .*, and not 11 by 2"):
        read(api, measures={f"customEvent:{n}": f"m{n}" for n in range(11)})


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"property": "UA-1234-5"}, '"UA-1234-5" is no property; give its number'),
        ({"page": 0}, "page is 0; Google gives from 1 to 250,000 rows at once"),
        ({"measures": {}}, "measures is empty"),
        ({"measures": {"sessions": "Visits"}}, '"Visits" is not a metric\'s name'),
        ({"measures": {"sessions": "visits", "engagedSessions": "visits"}}, '"visits" stands for two things'),
        ({"dimensions": {"hour": "of_day"}}, '"hour" says when'),
        ({"dimensions": {"dayOfWeek": "date"}}, '"date" says when'),
        ({"measures": {"totalUsers": "visitors"}}, r"totalUsers cannot be added up, .* write grains = \["),
        ({"measures": {"bounceRate": "bounce"}}, "bounceRate cannot be added up"),
        ({"grains": (Grain.DAY,)}, "sessions adds up, and grains are for what does not"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(table: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        GoogleAnalyticsSource(**{"service": "analytics", "property": 7, "measures": SESSIONS, **table})


ADDED_UP = """addToCarts customEvent:price engagedSessions eventCount firstTimePurchasers itemsPurchased newUsers
    keyEvents:purchase purchaseRevenue screenPageViews sessions transactions userEngagementDuration"""
COUNTED_ANEW = """active28DayUsers averagePurchaseRevenue averageSessionDuration bounceRate crashFreeUsersRate dauPerMau
    eventCountPerUser firstTimePurchasersPerNewUser organicGoogleSearchAveragePosition returnOnAdSpend totalUsers
    screenPageViewsPerSession sessionKeyEventRate:purchase totalPurchasers"""


@pytest.mark.parametrize(("names", "kind"), [(ADDED_UP, Kind.COUNT), (COUNTED_ANEW, Kind.DISTINCT)])
def test_what_adds_up_is_a_count_and_the_rest_is_not(names: str, kind: Kind) -> None:
    measures = {name: f"m{number}" for number, name in enumerate(names.split())}
    grains = (Grain.DAY,) if kind is Kind.DISTINCT else ()
    source = GoogleAnalyticsSource("analytics", 7, measures, grains=grains)
    assert {metric.kind for metric in source.metrics.values()} == {kind}


def test_metrics_have_a_title_and_a_unit() -> None:
    source = GoogleAnalyticsSource("analytics", 7, {"screenPageViews": "views", "customEvent:levels_won": "won"})
    assert [(metric.title, metric.unit) for metric in source.metrics.values()] == [
        ("Screen page views", "views"),
        ("Custom event:levels_won", ""),
    ]
    assert source.definition == ("Google Analytics, property 7\nscreenPageViews = views\ncustomEvent:levels_won = won")


def probe(service: Service, api: Api, zone: ZoneInfo = PARIS, **table: Any) -> list[object]:  # noqa: ANN401
    """Return the lines that a probe yields."""
    service.answer(
        METADATA,
        Said(
            {
                "metrics": [{"apiName": "sessions"}, {"apiName": "keyEvents", "deprecatedApiNames": ["conversions"]}],
                "dimensions": [{"apiName": "country"}],
            }
        ),
    )
    source = GoogleAnalyticsSource(**{"service": "api", "property": 123456789, "measures": SESSIONS, **table})
    lines: list[object] = []
    run(source.probe("visits").followed_by(lines.append), {"api": api, "now": NOW, "source_zone": zone})
    return lines


def test_a_probe_tells_what_works_and_what_is_left_of_the_quota(service: Service, api: Api) -> None:
    quota = {"tokensPerDay": {"consumed": 1, "remaining": 199_999}, "tokensPerHour": {"remaining": 39_999}}
    service.answer(REPORT, lambda asked: Said({**report(asked, []), "propertyQuota": quota}))
    measures = {**SESSIONS, "conversions": "sales"}
    assert probe(service, api, measures=measures, dimensions={"country": "country"}) == [
        f"{WHO} may read property 123456789",
        "it knows sessions, conversions, country",
        "its time zone is Europe/Paris",
        "left of its quota: 199,999 tokens of a day, 39,999 tokens of an hour",
    ]
    assert bodies(service)[0]["returnPropertyQuota"] is True


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (
            {"measures": {"sesions": "visits"}},
            'has no metric "sesions"; near it are: sessions, conversions; all stand at https',
        ),
        ({"dimensions": {"planet": "planet"}}, 'has no dimension "planet"; none is near it; all stand at https'),
    ],
)
def test_a_probe_finds_names_that_do_not_exist(service: Service, api: Api, table: dict[str, Any], said: str) -> None:
    with pytest.raises(NodeFailed, match=said):
        probe(service, api, **table)


def test_a_probe_finds_another_time_zone(service: Service, api: Api) -> None:
    service.answer(REPORT, reports())
    with pytest.raises(NodeFailed, match='write timezone = "Europe/Paris" in the source'):
        probe(service, api, NEW_YORK)


PROJECT = """\
[project]
timezone = "Europe/Paris"
warehouse = "${WAREHOUSE_URL}"

[services.analytics]
url = "${ANALYTICS_URL}"
credentials = "${GOOGLE_CREDENTIALS}"

[sources.visits]
kind = "google-analytics"
service = "analytics"
property = 123456789
schedule = "@hourly"
lookback = "3d"
timezone = "America/New_York"
measures = { sessions = "visits.sessions" }
dimensions = { yearMonth = "month" }

[sources.visitors]
kind = "google-analytics"
service = "analytics"
property = 123456789
grains = ["hour"]
timezone = "America/New_York"
measures = { totalUsers = "visitors.total", activeUsers = "visitors.active" }
"""
DAYS = ("--since", "2017-01-30T00:00-05:00", "--until", "2017-01-31T00:00-05:00")


@pytest.fixture
def project(
    tmp_path: Path, service: Service, credentials: str, warehouse_url: str, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A project that reads sessions and users."""
    monkeypatch.setenv("ANALYTICS_URL", service.url)
    monkeypatch.setenv("GOOGLE_CREDENTIALS", credentials)
    monkeypatch.setenv("WAREHOUSE_URL", warehouse_url)
    return make_project(tmp_path / "project", PROJECT)


@pytest.fixture
def recorded(pytestconfig: pytest.Config) -> Any:  # noqa: ANN401  # JSON
    """An answer of the Data API that lies beside the checkout: a day of a property in New York."""
    file = pytestconfig.rootpath.parent / "shared/data/google_analytics/run_report_date_hour.json"
    if not file.is_file():
        pytest.skip("no real data beside this checkout")
    return json.loads(file.read_text("utf-8"))


def columns(recorded: Mapping[str, Any], asked: Asked) -> Said:
    """Return of a recorded answer what is asked for."""
    told = dict(recorded)
    told["rows"] = [dict(row) for row in recorded["rows"]]
    for headers, values, what in (
        ("dimensionHeaders", "dimensionValues", "dimensions"),
        ("metricHeaders", "metricValues", "metrics"),
    ):
        names = [header["name"] for header in recorded[headers]]
        wanted = [names.index(each["name"]) for each in asked.body[what]]
        told[headers] = [recorded[headers][number] for number in wanted]
        for row in told["rows"]:
            row[values] = [row[values][number] for number in wanted]
    return Said(told)


@pytest.mark.realdata
def test_a_recorded_answer_becomes_right_metrics(service: Service, api: Api, recorded: Any) -> None:  # noqa: ANN401
    service.answer(REPORT, Said(recorded))
    measures = {"sessions": "visits", "totalUsers": "visitors.total", "activeUsers": "visitors.active"}
    day = window("2017-01-30", "2017-01-31", NEW_YORK)
    rows = read(api, day, zone=NEW_YORK, measures=measures, dimensions={"yearMonth": "month"})
    hundreds = {"visits": 100, "visitors.total": 100, "visitors.active": 100}
    assert rows == [({"time": hour, "month": "201701"}, hundreds) for hour in day.buckets(Grain.HOUR, NEW_YORK)]
    assert len(rows) == 24


@pytest.mark.realdata
def test_a_recorded_answer_is_kept_and_users_are_never_added_up(
    service: Service,
    project: Path,
    warehouse_url: str,
    recorded: Any,  # noqa: ANN401
) -> None:
    service.answer(REPORT, lambda asked: columns(recorded, asked))
    first = tallyline("read", "all", "--write", "--json", *DAYS, project=project)
    assert (first.status, first.err) == (0, "")
    assert [result["changes"]["added"] for result in first.data] == [24, 48]
    again = tallyline("read", "all", "--write", "--json", *DAYS, project=project)
    assert [result["changes"]["unchanged"] for result in again.data] == [24, 48]
    hourly = [fact for fact in facts(warehouse_url, "hourly") if fact.metric == "visits.sessions"]
    assert [(fact.dims, fact.value) for fact in hourly] == [('{"month": "201701"}', 100)] * 24
    month = tallyline("show", "visits.sessions", "--by", "month", "--last", "20y", "--json", project=project).data
    assert sum(value["value"] or 0 for value in month) == 2400
    users = ("show", "visitors.total", "--by", "day", "--last", "20y")
    assert "distinct things" in tallyline(*users, project=project).err


def test_what_is_not_exact_is_flagged_and_kept_with_the_run(service: Service, project: Path) -> None:
    service.answer(
        REPORT, reports(["20170130", "00", "201701", "7"], zone="America/New_York", subjectToThresholding=True)
    )
    shown = tallyline("read", "visits", "--write", *DAYS, project=project)
    assert " - exact in=2 out=1 skipped=1 [done]" in shown.out
    [result] = tallyline("read", "visits", "--write", "--json", *DAYS, project=project).data
    [_, exact, *_] = result["report"]["nodes"]
    assert [sample["error"] for sample in exact["samples"]] == [
        "SourceFailed: thresholds apply: rows of few users may be missing"
    ]


def test_what_is_not_exact_fails_where_exactness_is_asked_for(service: Service, project: Path) -> None:
    make_project(project, PROJECT.replace("dimensions =", "exact = true\ndimensions ="))
    service.answer(REPORT, reports(zone="America/New_York", subjectToThresholding=True))
    failed = tallyline("read", "visits", "--write", *DAYS, project=project)
    assert failed.status == 1
    assert "the report is not exact: thresholds apply" in failed.err


def test_users_that_the_plan_would_add_up_are_refused(service: Service, project: Path) -> None:
    make_project(project, PROJECT + '[metrics]\n"visitors.total" = { kind = "count" }\n')
    service.answer(REPORT, reports(["20170130", "00", "7", "7"], zone="America/New_York"))
    failed = tallyline("read", "visitors", "--write", *DAYS, project=project)
    assert failed.status == 1
    assert "visitors has grains, which are for distinct counts, but visitors.total is a count" in failed.err


def test_what_google_changes_later_replaces_what_was_published(service: Service, project: Path) -> None:
    for value, changes in (("7", {"added": 1, "changed": 0}), ("8", {"added": 0, "changed": 1})):
        service.answer(REPORT, reports(["20260720", "05", "202607", value], zone="America/New_York"))
        with time_machine.travel(NOW):
            [result] = tallyline("read", "visits", "--write", "--json", project=project).data
        assert result["error"] is None
        assert changes.items() <= result["changes"].items()
    assert bodies(service)[-1]["dateRanges"] == [{"startDate": "2026-07-17", "endDate": "2026-07-20"}]


@pytest.mark.parametrize("path", ["/token", REPORT])
def test_secrets_are_shown_nowhere(
    service: Service,
    project: Path,
    keys: tuple[str, bytes],
    warehouse_url: str,
    path: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)

    def repeat(asked: Asked) -> Said:
        told = f"{keys[0].splitlines()[1]} planted-key-id {asked.headers.get('authorization')} {asked.body}"
        return Said({"error": {"code": 403, "message": told}, "error_description": told}, 403)

    service.answer(path, repeat)
    answers = [tallyline("read", "visits", "--write", *DAYS, *asked, project=project) for asked in ((), ("--json",))]
    with open_warehouse(warehouse_url, PARIS) as warehouse:
        told = f"{warehouse.runs()} {answers} {caplog.text}"
    secrets = [TOKEN, "planted-key-id", keys[0].splitlines()[1], "assertion=ey"]
    assert "403" in told or "Google does not accept the credentials" in told
    assert "***" in told
    assert [secret for secret in secrets if secret in told] == []


def test_a_recording_has_no_secrets_and_is_read_without_signing_in(
    service: Service, project: Path, keys: tuple[str, bytes], tmp_path: Path
) -> None:
    service.answer(REPORT, reports(["20170130", "00", "201701", "7"], zone="America/New_York"))
    file = tmp_path / "visits.json"
    recorded = tallyline("record", "visits", *DAYS, "--to", file, project=project)
    assert (recorded.status, recorded.err) == (0, "")
    text = file.read_text("utf-8")
    secrets = [TOKEN, "planted-key-id", keys[0].splitlines()[1], "assertion"]
    assert [secret for secret in secrets if secret in text + recorded.out] == []
    asked = len(service.asked)
    whole, recording = load_project(project), Recording.read(file)
    given = {
        "window": recording.window,
        "now": recording.now,
        "zone": PARIS,
        "source_zone": NEW_YORK,
        "grain": Grain.HOUR,
    }
    rows: list[object] = []
    run(
        whole.source("visits").graph().followed_by(rows.append),
        {**replaying(whole, recording, given).services, **given},
    )
    assert rows == [({"time": datetime(2017, 1, 30, 5, tzinfo=UTC), "month": "201701"}, {"visits.sessions": 7})]
    assert len(service.asked) == asked


def test_mistakes_are_told_with_their_place(tmp_path: Path) -> None:
    folder = make_project(tmp_path / "project", PROJECT.replace('grains = ["hour"]\n', ""))
    with pytest.raises(Refused, match=r"tallyline.toml:19 sources.visitors: totalUsers cannot be added up"):
        load_project(folder)


def test_the_example_of_the_documentation_is_a_project(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    page = (pytestconfig.rootpath / "docs/sources/google-analytics.md").read_text("utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    project = load_project(make_project(tmp_path / "project", example))
    assert list(project.sources) == ["visits", "visitors"]
    assert {name: str(metric.kind) for name, metric in project.plan.items()} == {
        "bounce.rate": "formula",
        "visits.sessions": "count",
        "visits.engaged": "count",
        "visitors.new": "count",
        "visitors": "distinct",
    }
