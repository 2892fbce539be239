"""The hook of the Connections that are of the type `tallyline`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from tallyline.errors import TallylineError
from tallyline.schedule.airflow.connections import as_service
from tallyline.secret import masked

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["ServiceHook"]


class ServiceHook(BaseHook):
    """Opens the service that a Connection describes, as a project's sources are given it."""

    conn_name_attr = "tallyline_conn_id"
    default_conn_name = "tallyline_default"
    conn_type = "tallyline"
    hook_name = "Tallyline: HTTP API"

    def __init__(self, tallyline_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.tallyline_conn_id = tallyline_conn_id

    def get_conn(self) -> AbstractContextManager[object]:
        """Return what opens the service."""
        return as_service(self.get_connection(self.tallyline_conn_id), Path())

    def test_connection(self) -> tuple[bool, str]:
        """Ask for the service's own URL, and say what it answered."""
        from tallyline.api import as_api  # noqa: PLC0415  # an HTTP client only where a service is tried

        try:
            with self.get_conn() as service:
                return True, as_api(service, "It", "a Connection of the type tallyline").reach()
        except TallylineError as error:
            return False, masked(str(error))
