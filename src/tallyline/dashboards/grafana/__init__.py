"""Dashboards as Grafana takes them: files that it provisions itself from, or pushed to its API."""

from tallyline.dashboards.grafana.address import Address, address_of
from tallyline.dashboards.grafana.dashboard import Definitions
from tallyline.dashboards.grafana.exporting import Exported, export
from tallyline.dashboards.grafana.files import Delivery
from tallyline.dashboards.grafana.names import Names, names_of
from tallyline.dashboards.grafana.publishing import publish, withdraw
from tallyline.dashboards.grafana.pushing import Outcome, Pushed, push, push_data_source
from tallyline.dashboards.grafana.server import Server

__all__ = [
    "Address",
    "Definitions",
    "Delivery",
    "Exported",
    "Names",
    "Outcome",
    "Pushed",
    "Server",
    "address_of",
    "export",
    "names_of",
    "publish",
    "push",
    "push_data_source",
    "withdraw",
]
