"""What things are called in Grafana: short names (uids) that stay, so that addresses and alerts stay."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from tallyline.errors import Refused

__all__ = ["Names", "names_of"]

_LONGEST = 40
_KEPT = 8
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a project's things in Grafana, all of them made of one `stem`.

    >>> names = Names("pagesnap", "Pagesnap")
    >>> names.folder, names.dashboard("revenue"), names.public_dashboard("revenue")
    ('folder-pagesnap', 'pagesnap-revenue', 'public-pagesnap-revenue')
    """

    stem: str
    title: str

    def __post_init__(self) -> None:
        """Refuse what cannot stand in an address."""
        if not _NAME.fullmatch(self.stem):
            msg = f'"{self.stem}" cannot be a name in Grafana; use lower case letters, digits and -'
            raise Refused(msg)

    @property
    def folder(self) -> str:
        """The folder of the dashboards."""
        return _short("folder", self.stem)

    @property
    def public_folder(self) -> str:
        """The folder of those that may be shown to anybody."""
        return _short("folder", self.stem, "public")

    @property
    def public_title(self) -> str:
        """What the folder of those is called."""
        return f"{self.title}, public"

    @property
    def alerts_title(self) -> str:
        """What the folder of the alert rules is called; Grafana makes it by itself."""
        return f"{self.title}, alerts"

    @property
    def data_source(self) -> str:
        """The data source, by its uid."""
        return _short(self.stem, "warehouse")

    def dashboard(self, name: str) -> str:
        """Return the uid of a dashboard."""
        return _short(self.stem, name)

    def public_dashboard(self, name: str) -> str:
        """Return the uid of a dashboard as it may be shown to anybody."""
        return _short("public", self.stem, name)

    def rule(self, *about: str) -> str:
        """Return the uid of an alert rule."""
        return _short(self.stem, *(_slug(each) for each in about))


def names_of(title: str, stem: str = "") -> Names:
    """Return the names for a project of that title; `stem` is given where another one is wanted.

    >>> names_of("Pagesnap (simulated)").stem
    'pagesnap-simulated'
    """
    return Names(stem or _slug(title) or "tallyline", title)


def _slug(text: str) -> str:
    return _NOT_IN_A_NAME.sub("-", text.lower()).strip("-")


def _short(*parts: str) -> str:
    """Return a name that Grafana takes: one that is too long ends in what tells it from others."""
    whole = "-".join(parts)
    if len(whole) <= _LONGEST:
        return whole
    rest = hashlib.sha256(whole.encode()).hexdigest()[:_KEPT]
    return f"{whole[: _LONGEST - _KEPT - 1]}-{rest}"
