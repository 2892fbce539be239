"""The Sentry source, by its real client, from a service on loopback that answers in Sentry's published shapes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
import time_machine

import tallyline
from tallyline.api import Answer, Api, Request, opened
from tallyline.errors import Denied, NodeFailed, Refused, Unavailable, UnexpectedAnswer, UnknownName, may_work_later
from tallyline.graph import node, run
from tallyline.project import load_project
from tallyline.sources.sentry import SentrySource, read_sentry
from tallyline.window import Grain, Window
from tests.cli.terminal import make_project
from tests.cli.terminal import tallyline as typed
from tests.sources.service import Said

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.sources.service import Asked, Service

    Row = tuple[dict[str, Any], dict[str, Any]]
    Counted = Mapping[str, Mapping[str, int]]

PARIS, KOLKATA, UTC_ZONE = ZoneInfo("Europe/Paris"), ZoneInfo("Asia/Kolkata"), ZoneInfo("UTC")
NOW = datetime(2026, 7, 14, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
MORNING = Window(datetime(2026, 7, 14, 9, tzinfo=UTC), datetime(2026, 7, 14, 13, tzinfo=UTC))
ORGANIZATION = "/api/0/organizations/acme"
PROJECTS, ERRORS, SESSIONS = (f"{ORGANIZATION}/{what}/" for what in ("projects", "stats_v2", "sessions"))


def series(field: str, by: str, counted: Counted) -> Any:  # noqa: ANN401  # what a Service takes for an answer
    """Answer as a time series of Sentry's does, from counts by group and hour, ``"14 09": 3``."""

    def answered(asked: Asked) -> Said:
        since, last = (datetime.fromisoformat(f"{asked.params[key]}Z") for key in ("start", "end"))
        hours = [since + number * HOUR for number in range(round((last - since) / HOUR))]
        told = {group: [by_hour.get(f"{hour:%d %H}", 0) for hour in hours] for group, by_hour in counted.items()}
        groups = [
            {"by": {by: group}, "totals": {field: sum(counts)}, "series": {field: counts}}
            for group, counts in told.items()
            if any(counts)
        ]
        return Said({"intervals": [f"{hour:%Y-%m-%dT%H:%M:%SZ}" for hour in hours], "groups": groups})

    return answered


def answer(service: Service, errors: Counted | None = None, sessions: Counted | None = None, *projects: str) -> None:
    """Let the service answer for projects, `web` alone by default."""
    service.answer(PROJECTS, Said([{"id": str(7 + n), "slug": slug} for n, slug in enumerate(projects or ["web"])]))
    service.answer(ERRORS, series("sum(quantity)", "outcome", errors or {}))
    service.answer(SESSIONS, series("sum(session)", "session.status", sessions or {}))


def rows(service: Service, window: Window = MORNING, *, zone: ZoneInfo = UTC_ZONE, **options: Any) -> list[Row]:  # noqa: ANN401
    """Read to the end."""
    with opened(Api(service.url, name="sentry", token="sntrys")) as api:  # noqa: S106
        return list(read_sentry(api, "acme", window, zone, options.pop("now", NOW), **options))


def by_hour(found: list[Row], metric: str, **dims: str) -> dict[str, int]:
    """Return a metric's values by the hour."""
    told = [(row, values) for row, values in found if metric in values and dims.items() <= row.items()]
    return {f"{row['time']:%d %H}": values[metric] for row, values in told}


def test_errors_are_told_by_the_hour_and_zeros_where_there_were_none(service: Service) -> None:
    answer(service, {"accepted": {"14 09": 3, "14 11": 5}})
    found = rows(service)
    assert by_hour(found, "sentry.errors", project="web") == {"14 09": 3, "14 10": 0, "14 11": 5, "14 12": 0}
    [asked] = [asked for asked in service.asked if asked.path == ERRORS]
    assert asked.params == {
        "field": "sum(quantity)",
        "groupBy": "outcome",
        "category": "error",
        "project": "7",
        "interval": "1h",
        "start": "2026-07-14T09:00:00",
        "end": "2026-07-14T12:59:59",
    }


def test_errors_that_were_dropped_are_told_by_why_and_are_no_errors(service: Service) -> None:
    answer(service, {"filtered": {"14 09": 2}, "rate_limited": {"14 09": 4, "14 10": 1}})
    found = rows(service)
    assert sum(by_hour(found, "sentry.errors").values()) == 0
    assert by_hour(found, "sentry.errors.dropped", outcome="filtered") == {"14 09": 2}
    assert by_hour(found, "sentry.errors.dropped", outcome="rate_limited") == {"14 09": 4, "14 10": 1}


def test_sessions_are_those_of_every_status(service: Service) -> None:
    answer(
        service,
        {},
        {"healthy": {"14 09": 90}, "errored": {"14 09": 6}, "crashed": {"14 09": 3}, "abnormal": {"14 09": 1}},
    )
    found = rows(service)
    assert by_hour(found, "sentry.sessions") == {"14 09": 100}
    assert by_hour(found, "sentry.sessions.crashed") == {"14 09": 3}


def test_crash_free_is_worked_out_at_each_grain_from_its_parts() -> None:
    assert SentrySource("sentry", "acme").metrics["sentry.crash_free"].formula == (
        "1 - sentry.sessions.crashed / sentry.sessions"
    )


def test_days_are_those_of_the_business_zone(service: Service) -> None:
    """22:00 UTC is midnight in Paris."""
    answer(service, {"accepted": {"12 21": 100, "12 22": 1, "13 21": 10, "13 22": 1000}})
    window = Window(datetime(2026, 7, 12, 22, tzinfo=UTC), datetime(2026, 7, 14, 22, tzinfo=UTC))
    found = rows(service, window, zone=PARIS, grain=Grain.DAY)
    assert by_hour(found, "sentry.errors") == {"12 22": 11, "13 22": 1000}


def test_an_hour_of_sentrys_belongs_to_the_bucket_that_it_begins_in(service: Service) -> None:
    """In Kolkata a day begins at 18:30 UTC."""
    answer(service, {"accepted": {"12 18": 1000, "12 19": 1, "13 18": 10, "13 19": 100}})
    window = Window(datetime(2026, 7, 12, 18, 30, tzinfo=UTC), datetime(2026, 7, 13, 18, 30, tzinfo=UTC))
    assert by_hour(rows(service, window, zone=KOLKATA, grain=Grain.DAY), "sentry.errors") == {"12 18": 11}


def test_hours_that_have_not_begun_are_not_told(service: Service) -> None:
    answer(service)
    far = Window(MORNING.since, MORNING.until + timedelta(days=100))
    assert list(by_hour(rows(service, far), "sentry.errors")) == ["14 09", "14 10", "14 11", "14 12"]


def test_hours_beside_the_window_and_to_come_are_left_out(service: Service) -> None:
    answer(service)
    hours = [f"2026-07-14T{hour:02}:00:00Z" for hour in range(8, 15)]
    group = {"by": {"outcome": "accepted"}, "totals": {}, "series": {"sum(quantity)": [1] * 7}}
    service.answer(ERRORS, Said({"intervals": hours, "groups": [group]}))
    evening = Window(MORNING.since, MORNING.until + 9 * HOUR)
    for window in MORNING, evening:
        assert list(by_hour(rows(service, window), "sentry.errors")) == ["14 09", "14 10", "14 11", "14 12"]


def test_a_long_window_is_asked_for_in_parts(service: Service) -> None:
    answer(service, {"accepted": {"01 00": 1}})
    window = Window(datetime(2026, 5, 1, tzinfo=UTC), MORNING.until)
    found = rows(service, window, grain=Grain.DAY)
    asked = [asked.params for asked in service.asked if asked.path == ERRORS]
    assert [params["start"][:10] for params in asked] == ["2026-05-01", "2026-05-31", "2026-06-30"]
    assert [params["end"] for params in asked] == ["2026-05-30T23:59:59", "2026-06-29T23:59:59", "2026-07-14T12:59:59"]
    assert sum(values.get("sentry.errors", 0) for _, values in found) == 3


def test_projects_come_in_three_pages(service: Service) -> None:
    def answered(asked: Asked) -> Said:
        page = int(asked.params.get("cursor", 0))
        more = f'<{service.url}{PROJECTS}?cursor={page + 1}>; rel="next"; results="{"true" if page < 2 else "false"}"'
        return Said([{"id": str(page), "slug": f"app-{page}"}], headers={"Link": more})

    answer(service, {"accepted": {"14 09": 1}})
    service.answer(PROJECTS, answered)
    assert {dims["project"] for dims, _ in rows(service)} == {"app-0", "app-1", "app-2"}


def test_projects_are_chosen_by_slug_or_by_id(service: Service) -> None:
    answer(service, {}, {}, "web", "api", "worker")
    found = rows(service, projects=["worker", "7"])
    assert [*dict.fromkeys(dims["project"] for dims, _ in found)] == ["worker", "web"]
    assert {asked.params["project"] for asked in service.asked if asked.path == SESSIONS} == {"9", "7"}


def test_a_project_that_is_not_there_is_refused_with_those_that_are(service: Service) -> None:
    answer(service, {}, {}, "web", "api")
    said = (
        r'^there is no project of acme that the token may read called "wev"; did you mean "web"\? There are: api, web$'
    )
    with pytest.raises(UnknownName, match=said):
        rows(service, projects=["wev"])


def test_an_environment_is_of_sessions_alone(service: Service) -> None:
    answer(service)
    rows(service, environment="production")
    told = {asked.path: asked.params.get("environment") for asked in service.asked}
    assert told == {PROJECTS: None, ERRORS: None, SESSIONS: "production"}


def test_an_empty_window_has_no_errors_and_no_sessions(service: Service) -> None:
    answer(service)
    found = rows(service)
    assert {name for _, values in found for name in values} == {"sentry.errors"}
    assert sum(by_hour(found, "sentry.errors").values()) == 0


def test_counts_that_are_not_known_are_zero(service: Service) -> None:
    answer(service)
    group = {"by": {"session.status": "healthy"}, "totals": {}, "series": {"sum(session)": [None, 4.0, None, None]}}
    hours = [f"2026-07-14T{hour:02}:00:00Z" for hour in range(9, 13)]
    service.answer(SESSIONS, Said({"intervals": hours, "groups": [group]}))
    assert by_hour(rows(service), "sentry.sessions") == {"14 10": 4}


@pytest.mark.parametrize(
    ("busy", "waited"),
    [(Said({"detail": "slow down"}, 429, {"Retry-After": "7"}), 7), (Said({}, 500), None)],
)
def test_what_is_busy_or_broken_is_asked_again(
    service: Service, waits: list[float], busy: Said, waited: float | None
) -> None:
    answer(service)
    whole = series("sum(quantity)", "outcome", {"accepted": {"14 09": 3}})
    service.answer(ERRORS, lambda asked: whole(asked) if waits else busy)
    assert by_hour(rows(service), "sentry.errors")["14 09"] == 3
    assert len(waits) == 1
    assert waited is None or waits == [waited]


def test_half_of_an_answer_is_asked_for_again(service: Service) -> None:
    answer(service, {"accepted": {"14 09": 3}})
    service.answer(PROJECTS, Said([{"id": "7", "slug": "web"}], half=True), Said([{"id": "7", "slug": "web"}]))
    assert by_hour(rows(service), "sentry.errors")["14 09"] == 3


def test_an_answer_that_does_not_come_in_time_may_come_later(service: Service) -> None:
    service.answer(PROJECTS, Said(late=True))
    hurried = Api(service.url, name="sentry", timeout=timedelta(milliseconds=50))
    with opened(hurried) as api, pytest.raises(Unavailable, match="did not answer in time") as late:
        list(read_sentry(api, "acme", MORNING, UTC_ZONE, NOW))
    assert may_work_later(late.value)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("path", [PROJECTS, ERRORS, SESSIONS])
def test_who_may_not_read_is_told_the_scope(service: Service, path: str, status: int) -> None:
    answer(service)
    service.answer(path, Said({"detail": "You do not have permission to perform this action."}, status))
    with pytest.raises(Denied, match="it needs a token with the scope org:read") as denied:
        rows(service)
    assert not may_work_later(denied.value)


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        (
            PROJECTS,
            {"detail": "moved"},
            r'^"projects" of the answer is \{"detail": "moved"\}, where a list is expected',
        ),
        (PROJECTS, [{"slug": "web"}], r'^the answer has no "id"'),
        (ERRORS, {"groups": []}, r'^the answer has no "intervals"'),
        (ERRORS, {"intervals": ["today"], "groups": []}, "^\"intervals\" of the answer has 'today', where a time"),
        (ERRORS, {"intervals": ["2026-07-14T10:00:00"], "groups": []}, '^"intervals" of the answer has'),
        (
            ERRORS,
            {"intervals": [], "groups": [{"by": {"outcome": "accepted"}, "series": {"sum(quantity)": [1]}}]},
            r'^"sum\(quantity\)" of accepted has 1 values for 0 intervals$',
        ),
        (
            SESSIONS,
            {"intervals": [], "groups": [{"by": {}, "series": {"sum(session)": []}}]},
            '^"by" of the answer is null, where text is expected$',
        ),
        (
            SESSIONS,
            {"intervals": ["2026-07-14T10:00:00Z"], "groups": [{"by": {"session.status": "x"}, "series": {}}]},
            r'^the answer has no "sum\(session\)"',
        ),
    ],
)
def test_a_shape_that_is_not_known_is_shown(service: Service, path: str, body: object, said: str) -> None:
    answer(service)
    service.answer(path, Said(body))
    with pytest.raises(UnexpectedAnswer, match=said):
        rows(service)


def test_hours_that_sentry_has_forgotten_are_refused(service: Service) -> None:
    long_ago = Window(datetime(2026, 4, 1, tzinfo=UTC), MORNING.until)
    with pytest.raises(Refused) as refused:
        rows(service, long_ago)
    assert str(refused.value) == (
        "Sentry keeps what it counted for 90 days, and the window is 2026-04-01 00:00 … 2026-07-14 13:00; give the "
        "source start = 2026-04-16, or kept_days if the organization's plan keeps it for longer"
    )
    answer(service)
    assert rows(service, long_ago, kept_days=365, grain=Grain.DAY)


def test_a_service_that_is_a_database_is_refused() -> None:
    shop: Any = object()
    with pytest.raises(Refused, match=r'^Sentry is spoken to by HTTP.*: sentry = \{ token = "\$\{SENTRY_TOKEN\}" \}$'):
        next(read_sentry(shop, "acme", MORNING, UTC_ZONE, NOW))


def test_it_is_asked_for_at_its_own_address_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Api, "ask", not_asked)
    with opened(Api(name="sentry")) as api:
        assert list(read_sentry(api, "acme", MORNING, UTC_ZONE, NOW)) == []
        assert api.url == "https://sentry.io"


def not_asked(api: Api, asked: Request, needs: str) -> Answer:
    """Stand where nothing beyond this machine may be asked."""
    assert api.url
    assert asked.path == PROJECTS
    assert "org:read" in needs
    return Answer([], {})


def test_an_organization_is_written_safely_into_the_address(service: Service) -> None:
    service.answer("/api/0/organizations/a%2Fb/projects/", Said([]))
    with opened(Api(service.url, name="sentry")) as api:
        assert list(read_sentry(api, "a/b", MORNING, UTC_ZONE, NOW)) == []


def probed(service: Service) -> list[str]:
    """Return what the probe says."""
    said: list[str] = []
    with opened(Api(service.url, name="sentry")) as api:
        probe = SentrySource("sentry", "acme").probe("stability")
        run(probe.followed_by(node(said.append)), {"sentry": api, "now": NOW})
    return said


def test_what_may_be_read_is_told(service: Service) -> None:
    answer(service, {}, {}, "web", "api")
    assert probed(service) == ["may read 2 projects of acme: api, web", "may read errors", "may read sessions"]


def test_a_scope_that_is_missing_is_told(service: Service) -> None:
    answer(service)
    service.answer(SESSIONS, Said({"detail": "no"}, 403))
    with pytest.raises(NodeFailed, match="scope org:read"):
        probed(service)


PROJECT = """
[services.sentry]
url = "{url}"
token = "${{SENTRY_TOKEN}}"

[sources.stability]
kind = "sentry"
service = "sentry"
organization = "acme"
projects = ["web"]
environment = "production"
"""


def test_a_project_reads_it_and_its_token_is_shown_nowhere(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SENTRY_TOKEN", "sntrys_planted")
    project = make_project(tmp_path / "company", PROJECT.format(url=service.url))
    answer(service, {}, {"healthy": {"14 09": 9, "14 10": 10}, "crashed": {"14 09": 1}})
    with time_machine.travel(NOW, tick=False):
        done = typed("read", "stability", "--write", "--since", "2026-07-14", project=project)
        assert typed("record", "stability", "--since", "2026-07-14", project=project).status == 0
    assert (done.status, done.err) == (0, "")
    shown = typed("show", "sentry.crash_free", "--since", "2026-07-14", "--by", "day", "--json", project=project)
    assert [value["value"] for value in shown.data] == [0.95], "of 20 sessions one crashed"
    service.answer(PROJECTS, Said({"detail": "Invalid token sntrys_planted"}, 401))
    with time_machine.travel(NOW, tick=False):
        failed = typed("read", "stability", "--since", "2026-07-14", project=project)
    assert (failed.status, "Invalid token ***" in failed.err) == (1, True)
    kept = b"".join(file.read_bytes() for file in project.rglob("*") if file.is_file())
    assert "sntrys_planted" not in done.out + failed.out + failed.err + caplog.text + kept.decode(errors="replace")
    assert {asked.headers["authorization"] for asked in service.asked} == {"Bearer sntrys_planted"}


def test_its_metrics_come_with_it_and_its_definition_says_what_is_read(tmp_path: Path) -> None:
    project = load_project(make_project(tmp_path, PROJECT.format(url="http://127.0.0.1:9")))
    assert {name for name in project.plan if name.startswith("sentry.")} == {
        "sentry.errors",
        "sentry.errors.dropped",
        "sentry.sessions",
        "sentry.sessions.crashed",
        "sentry.crash_free",
    }
    assert project.sources["stability"].definition == (
        "Sentry errors and sessions of acme: web; sessions of production"
    )


def test_it_is_there_from_python() -> None:
    assert tallyline.read_sentry is read_sentry
