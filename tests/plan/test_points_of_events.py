"""Raw events, each at a time of its own, fall into the same buckets as if each were looked up for itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from tallyline.plan import Metric, Normalizer
from tallyline.window import Grain, Window

YEARS = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC))
ZONES = st.sampled_from(["UTC", "Europe/Paris", "Asia/Kolkata", "Australia/Lord_Howe", "America/New_York"]).map(
    ZoneInfo
)
CHANGES = (
    datetime(2026, 3, 29, 1, tzinfo=UTC),  # in Paris
    datetime(2026, 10, 25, 1, tzinfo=UTC),
    datetime(2026, 4, 4, 15, tzinfo=UTC),  # on Lord Howe, by half an hour
    datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
    datetime(2026, 11, 1, 6, tzinfo=UTC),  # in New York
)
MOMENTS = st.builds(
    lambda change, seconds: change + timedelta(seconds=seconds, microseconds=seconds * 7),
    st.sampled_from(CHANGES),
    st.integers(-9000, 9000),
)


def buckets(normalize: Normalizer, times: list[object]) -> list[datetime]:
    """Return in which buckets rows of such times fall."""
    return [point.bucket for time in times for point in normalize(({"time": time}, {"events": 1}))]


@settings(deadline=None, max_examples=200)
@given(st.lists(MOMENTS, min_size=1, max_size=20), ZONES, ZONES, st.sampled_from([Grain.HOUR, Grain.DAY]))
def test_events_fall_into_the_bucket_that_holds_them(
    moments: list[datetime], zone: ZoneInfo, source_zone: ZoneInfo, grain: Grain
) -> None:
    normalize = Normalizer({"events": Metric("events")}, YEARS, grain, zone, source_zone)
    told = [moment.astimezone(source_zone) for moment in moments]
    naive = [moment.replace(tzinfo=None) for moment in told]
    assert buckets(normalize, list(told)) == [grain.floor(moment, zone) for moment in moments]
    assert buckets(normalize, list(naive)) == [grain.floor(moment, zone) for moment in moments]
    unfolded = [grain.floor(moment.replace(fold=0), zone) for moment in told]
    assert buckets(normalize, [moment.isoformat() for moment in naive]) == unfolded
    assert buckets(normalize, [moment.isoformat() for moment in told]) == [grain.floor(each, zone) for each in moments]
