"""What the address asks for."""

from __future__ import annotations

import pytest

from tallyline.errors import Refused
from tallyline.web.asked import read_asked
from tallyline.window import Grain
from tests.web.company import NOW, ZONE


@pytest.mark.parametrize(
    ("query", "window"),
    [
        ({}, "2026-10-25 00:00 … 2026-11-24 00:00"),
        ({"last": "24h"}, "2026-11-22 15:00 … 2026-11-23 15:00"),
        ({"last": "2d"}, "2026-11-22 00:00 … 2026-11-24 00:00"),
        ({"since": "2026-11-01", "until": "2026-11-08"}, "2026-11-01 00:00 … 2026-11-08 00:00"),
        ({"since": "2026-11-22T23:00Z"}, "2026-11-23 00:00 … 2026-11-24 00:00"),
        ({"last": "", "since": "", "until": "", "by": "", "else": "?"}, "2026-10-25 00:00 … 2026-11-24 00:00"),
    ],
)
def test_a_range_is_read_in_the_business_zone(query: dict[str, str], window: str) -> None:
    assert read_asked(query, NOW, ZONE).window.text(ZONE) == window


def test_the_grain_is_the_panels_own_unless_one_is_asked_for() -> None:
    assert read_asked({}, NOW, ZONE).by is None
    assert read_asked({"by": "week"}, NOW, ZONE).by is Grain.WEEK


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"last": "7d", "since": "2026-11-01"}, 'choose either "last" or "since" and "until"'),
        ({"until": "2026-11-01"}, '"until" needs a "since"'),
        ({"since": "yesterday"}, '"yesterday" is not a time'),
        ({"since": "1969-12-31"}, "the range leaves the years from 1970 to 2200"),
        ({"since": "2026-01-01", "until": "2201-01-02"}, "the range leaves the years from 1970 to 2200"),
        ({"since": "2026-01-01", "until": "9999-12-31T23:59-12:00"}, '"9999-12-31T23:59-12:00" is further away'),
        ({"last": "99999d"}, "the range leaves the years from 1970 to 2200"),
        ({"last": "9" * 5000 + "d"}, '"9999'),
        ({"by": "Day"}, 'there is no grain "Day"; did you mean "day"?'),
    ],
)
def test_what_cannot_be_is_refused(query: dict[str, str], message: str) -> None:
    with pytest.raises(Refused) as refused:
        read_asked(query, NOW, ZONE)
    assert str(refused.value).startswith(message)
