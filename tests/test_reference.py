"""References to the environment in the place of secrets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url

from tallyline.errors import Refused
from tallyline.reference import filled_in, holds_password
from tallyline.secret import without_passwords


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_USER", "reader")
    monkeypatch.setenv("SHOP_PASSWORD", "hunter2")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("MISSING", raising=False)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("sqlite:///shop.db", "sqlite:///shop.db"),
        ("${SHOP_USER}", "reader"),
        ("postgresql://${SHOP_USER}:${SHOP_PASSWORD}@db/shop", "postgresql://reader:hunter2@db/shop"),
        ("${SHOP_USER:-nobody}", "reader"),
        ("${MISSING:-nobody}", "nobody"),
        ("${MISSING:-}", ""),
        ("${EMPTY:-nobody}", "nobody"),
        ("${MISSING:-sqlite:///a-b.db}", "sqlite:///a-b.db"),
        ("$SHOP_USER and $$", "$SHOP_USER and $$"),
    ],
)
def test_references_are_filled_in(text: str, filled: str) -> None:
    assert filled_in(text, "the shop") == filled


def test_what_was_filled_in_is_not_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "${SHOP_USER}")
    assert filled_in("${SHOP_PASSWORD}", "the shop") == "${SHOP_USER}"


@pytest.mark.parametrize("text", ["${MISSING}", "postgresql://${SHOP_USER}:${MISSING}@db/shop"])
def test_a_variable_that_is_not_set_is_told_by_its_name_alone(text: str) -> None:
    with pytest.raises(Refused) as refused:
        filled_in(text, 'the service "shop"')
    assert str(refused.value) == 'the service "shop" needs the environment variable MISSING, which is not set'


def test_a_variable_that_is_empty_counts_as_not_set() -> None:
    with pytest.raises(Refused, match=r"^the shop needs the environment variable EMPTY, which is not set$"):
        filled_in("${EMPTY}", "the shop")


PASSWORDS = st.text("abc123!$%:/-_.", min_size=1).filter(lambda text: "${" not in text)


@settings(deadline=None)
@given(st.from_regex(r"[a-z+]+", fullmatch=True), st.text("abc-_", max_size=5), PASSWORDS)
def test_a_password_in_a_url_is_found_and_made_unreadable(scheme: str, user: str, password: str) -> None:
    url = f"{scheme}://{user}:{password}@db.internal:5432/shop"
    assert holds_password(url)
    assert without_passwords(f'no service "{url}"') == f'no service "{scheme}://{user}:***@db.internal:5432/shop"'


@settings(deadline=None)
@given(st.from_regex(r"\$\{[A-Z_]+\}", fullmatch=True), st.text("abc-_", max_size=5))
def test_a_reference_in_a_url_is_no_password(reference: str, user: str) -> None:
    assert not holds_password(f"postgresql://{user}:{reference}@db.internal:5432/shop")


@pytest.mark.parametrize("text", ["", "no url", "10:30@noon", "sqlite:///shop.db", "http://db.internal:5432/shop"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert without_passwords(text) == text


def test_a_password_that_is_a_parameter_is_made_unreadable() -> None:
    url = "postgresql://db/shop?user=reader&password=hunter2&sslmode=require"
    assert without_passwords(url) == "postgresql://db/shop?user=reader&password=***&sslmode=require"


def test_a_password_may_hold_what_has_a_meaning_in_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "p@ss/w:rd%41")
    url = make_url(filled_in("postgresql://reader:${SHOP_PASSWORD}@localhost/shop", "the shop"))
    assert (url.password, url.host, url.database) == ("p@ss/w:rd%41", "localhost", "shop")


def test_a_whole_url_is_filled_in_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", "postgresql://reader:p%40ss@localhost/shop")
    assert filled_in("${SHOP_URL}", "the shop") == "postgresql://reader:p%40ss@localhost/shop"
