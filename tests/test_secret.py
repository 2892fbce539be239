"""Secrets that were looked up are unreadable in every text that leaves the process."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallyline.secret import masked, masked_data, remember, remember_passwords, without_passwords


@settings(deadline=None)
@given(st.text("abcXYZ012/+=_-%& ", min_size=8, max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_a_secret_is_found_in_any_text_and_nothing_else_is_changed(secret: str, before: str, after: str) -> None:
    remember(secret)
    told = masked(f"{before}{secret}{after}")
    assert secret.strip() not in told or len(secret.strip()) < 4


@pytest.mark.parametrize("told", ["k%2Fy%3D%20planted", "k%2Fy%3D+planted", "k/y= planted"])
def test_a_secret_is_unreadable_as_it_stands_in_urls(told: str) -> None:
    remember("k/y= planted")
    assert masked(f"GET /v1?key={told}&x=1") == "GET /v1?key=***&x=1"


def test_each_line_of_a_key_is_a_secret() -> None:
    remember("-----BEGIN KEY-----\nplantedline1\nplantedline2\n")
    assert masked("cannot read plantedline2") == "cannot read ***"


def test_what_is_too_short_is_no_secret() -> None:
    assert remember("ab") == "ab"
    assert masked("about") == "about"


def test_a_password_of_a_url_is_unreadable_by_itself() -> None:
    remember_passwords("postgresql://reader:p%40ssphrase@db/shop")
    assert masked('password "p@ssphrase" is wrong') == 'password "***" is wrong'


def test_data_keeps_its_shape() -> None:
    remember("sk_planted_1")
    assert masked_data({"sk_planted_1": [1, None, ("sk_planted_1!",)]}) == {"***": [1, None, ["***!"]]}


def test_a_text_without_secrets_stays_as_it_is() -> None:
    assert without_passwords("https://example.com/a?b=c") == "https://example.com/a?b=c"
