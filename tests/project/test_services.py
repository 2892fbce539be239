"""Services of a project file: what opens as a database and what as an API, and that their secrets are references."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Engine

from tallyline.api import Api
from tallyline.errors import ProjectError, Refused
from tallyline.graph import Graph, run
from tallyline.project import load_project
from tallyline.secret import masked

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """
[project]
title = "Shop"

[services]
shop = "sqlite:///shop.db"
prometheus = "http://127.0.0.1:9090/prefix/"
stripe = {{ token = "${{STRIPE_KEY}}" }}
{more}
"""


def opened(folder: Path, name: str, more: str = "") -> object:
    """Open a service of a project, as a run does."""
    (folder / "tallyline.toml").write_text(PROJECT.format(more=more), "utf-8")
    (folder / "shop.db").touch()
    seen: list[object] = []

    def keep(_: int, asked_for: object) -> None:
        seen.append(asked_for)

    run(Graph([0], keep), {"asked_for": load_project(folder).services[name]})
    return seen[0]


def test_the_url_says_what_a_service_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIPE_KEY", "sk_planted_in_a_test")
    prometheus, stripe = opened(tmp_path, "prometheus"), opened(tmp_path, "stripe")
    assert isinstance(opened(tmp_path, "shop"), Engine)
    assert isinstance(prometheus, Api)
    assert isinstance(stripe, Api)
    assert (prometheus.url, stripe.url, stripe.name) == ("http://127.0.0.1:9090/prefix", "", "stripe")
    assert masked("no such key: sk_planted_in_a_test") == "no such key: ***"


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ('{ token = "sk_live_1" }', "x.token: a secret stands in the file"),
        ('{ url = "https://a.example", password = "hunter2" }', "x.password: a secret stands in the file"),
        ('{ url = "https://reader:hunter2@a.example" }', "x: a password stands in the file"),
        ('{ headers = { X-Api-Key = "k3y" } }', "headers.X-Api-Key: a secret stands in the file"),
        ("""{ credentials = '{"private_key": "k"}' }""", "x.credentials: a secret stands in the file"),
        ('{ url = "https://a.example", timeout = 0 }', "x.timeout: 0 is no time to wait"),
        ('{ tokn = "${T}" }', 'x.tokn: there is no key "tokn"; did you mean "token"'),
        ("7", "x: a service is a URL"),
    ],
)
def test_a_secret_is_a_reference_and_every_mistake_has_its_place(tmp_path: Path, declared: str, said: str) -> None:
    with pytest.raises(ProjectError) as refused:
        opened(tmp_path, "shop", f"x = {declared}")
    assert said in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_headers_that_are_no_secret_may_stand_in_the_file(tmp_path: Path) -> None:
    assert opened(tmp_path, "x", 'x = { url = "https://a.example", headers = { X-Organization = "shop" } }')


def test_credentials_are_read_from_a_file_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text('{"private_key": "planted-in-a-file"}', "utf-8")
    api = opened(tmp_path, "x", 'x = { credentials = "key.json" }')
    assert isinstance(api, Api)
    assert api.credentials == '{"private_key": "planted-in-a-file"}'


def test_a_file_of_credentials_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r'the service "x": its credentials cannot be read from .*gone\.json'):
        opened(tmp_path, "x", 'x = { credentials = "gone.json" }')
