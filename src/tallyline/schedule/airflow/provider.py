"""What Tallyline tells Airflow of itself: a provider, found by its entry point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tallyline import __version__

if TYPE_CHECKING:
    from urllib.parse import SplitResult

__all__ = ["SCHEME", "get_provider_info", "sanitize_uri"]

SCHEME = "tallyline"
_INSIDE = "tallyline.schedule.airflow.inside"


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return the address of a metric as it is compared, ``tallyline://PREFIX/METRIC``.

    >>> from urllib.parse import urlsplit
    >>> sanitize_uri(urlsplit("tallyline://tallyline/users.new/")).geturl()
    'tallyline://tallyline/users.new'
    >>> sanitize_uri(urlsplit("tallyline://users.new"))
    Traceback (most recent call last):
    ValueError: tallyline://users.new is no metric's address; write tallyline://PREFIX/METRIC
    """
    metric = uri.path.strip("/")
    if not (uri.netloc and metric) or "/" in metric or uri.query:
        msg = f"{uri.geturl()} is no metric's address; write {SCHEME}://PREFIX/METRIC"
        raise ValueError(msg)
    return uri._replace(path=f"/{metric}")


def get_provider_info() -> dict[str, Any]:
    """Return what Airflow asks of a provider; nothing of Airflow is imported for it."""
    return {
        "package-name": "tallyline",
        "name": "Tallyline",
        "description": "Business dashboards as code: a DAG a source, from a project folder.",
        "versions": [__version__],
        "integrations": [{"integration-name": "Tallyline", "tags": ["software"]}],
        "operators": [{"integration-name": "Tallyline", "python-modules": [f"{_INSIDE}.operators"]}],
        "hooks": [{"integration-name": "Tallyline", "python-modules": [f"{_INSIDE}.hook"]}],
        "connection-types": [_connection_type()],
        "extra-links": [f"{_INSIDE}.operators.RunLink"],
        "asset-uris": [{"schemes": [SCHEME], "handler": f"{__name__}.sanitize_uri"}],
        "config": {"tallyline": _settings()},
    }


def _connection_type() -> dict[str, Any]:
    return {
        "connection-type": "tallyline",
        "hook-class-name": f"{_INSIDE}.hook.ServiceHook",
        "hook-name": "Tallyline: HTTP API",
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "port"],
            "relabeling": {"host": "URL", "login": "User"},
            "placeholders": {
                "host": "https://api.example.com; a kind such as stripe knows its own",
                "password": "without a user: the token",
            },
        },
        "conn-fields": {
            "token": _field("Token", "sent as Authorization: Bearer", secret=True),
            "credentials": _field("Credentials", "a service account of Google, as JSON", secret=True),
            "timeout": _field("Timeout", "how many seconds one answer may take, by default 60"),
        },
    }


def _field(label: str, description: str, *, secret: bool = False) -> dict[str, Any]:
    schema = {"type": ["string", "null"]} | ({"format": "password"} if secret else {})
    return {"label": label, "description": description, "schema": schema}


def _settings() -> dict[str, Any]:
    page = {
        "description": "Where Tallyline's page is, for the links from tasks to their runs.",
        "version_added": __version__,
        "type": "string",
        "example": "https://metrics.example.com",
        "default": "",
    }
    return {"description": "Tallyline.", "options": {"page_url": page}}
