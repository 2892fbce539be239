"""The files that Grafana provisions itself from: a data source, folders of dashboards, alert rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tallyline.dashboards.grafana.dashboard import as_text
from tallyline.dashboards.grafana.rules import rule_groups
from tallyline.dashboards.grafana.yaml import as_yaml, literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tallyline.dashboards.grafana.address import Address
    from tallyline.dashboards.grafana.dashboard import Definitions

    Json = dict[str, Any]

__all__ = ["Delivery"]

_MADE_BY = "Made by `tallyline grafana export`. It is written anew by the next one: change the project instead."


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is written for Grafana: the `definitions`, where their data is, and where Grafana will find the dashboards.

    `password_from` names the variable of Grafana's environment that holds the password of the role that reads.
    """

    definitions: Definitions
    address: Address
    dashboards_path: str
    password_from: str

    def files(self, gone_rules: Iterable[str] = ()) -> dict[str, str]:
        """Return the text of each file by its path; rules that were there once and are gone are deleted."""
        stem = self.definitions.names.stem
        return {
            f"provisioning/datasources/{stem}.yaml": as_yaml(self._data_sources(), _MADE_BY),
            f"provisioning/dashboards/{stem}.yaml": as_yaml(self._providers(), _MADE_BY),
            f"provisioning/alerting/{stem}.yaml": as_yaml(self._rules(gone_rules), _MADE_BY),
            **dict(self._dashboards()),
        }

    @property
    def rules(self) -> list[str]:
        """The uids of the alert rules."""
        return sorted(rule["uid"] for group in rule_groups(self.definitions) for rule in group["rules"])

    def _folders(self) -> Iterator[tuple[str, str, str, Iterable[Json]]]:
        """Yield the uid, the title and the path of each folder, with its dashboards."""
        names = self.definitions.names
        yield names.folder, names.title, names.stem, self.definitions.rendered()
        public = list(self.definitions.rendered_public())
        if public:
            yield names.public_folder, names.public_title, f"{names.stem}-public", public

    def _data_sources(self) -> Json:
        source = literal(self.address.data_source(self.definitions.names))
        assert isinstance(source, dict)  # noqa: S101  # as it was
        of_org = {"orgId": 1, **source, "editable": False}
        secret = {"secureJsonData": {"password": f"${self.password_from}"}}
        return {"apiVersion": 1, "datasources": [of_org if self.address.dialect == "sqlite" else of_org | secret]}

    def _providers(self) -> Json:
        providers = [
            {
                "name": path,
                "orgId": 1,
                "folder": title,
                "folderUid": uid,
                "type": "file",
                "disableDeletion": False,
                "allowUiUpdates": False,
                "updateIntervalSeconds": 30,
                "options": {"path": f"{self.dashboards_path}/{path}"},
            }
            for uid, title, path, _ in self._folders()
        ]
        return {"apiVersion": 1, "providers": literal(providers)}

    def _rules(self, gone: Iterable[str]) -> Json:
        deleted = [{"orgId": 1, "uid": uid} for uid in sorted(set(gone) - set(self.rules))]
        groups = literal(rule_groups(self.definitions))
        return {"apiVersion": 1, **({"deleteRules": deleted} if deleted else {}), "groups": groups}

    def _dashboards(self) -> Iterator[tuple[str, str]]:
        for _, _, path, dashboards in self._folders():
            for dashboard in dashboards:
                yield f"dashboards/{path}/{dashboard['uid']}.json", as_text(dashboard)
