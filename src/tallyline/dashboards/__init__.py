"""One neutral definition of dashboards, and the data that their panels show."""

from tallyline.dashboards.definition import Dashboard, Panel, Shows, Size, dashboard_of_plan
from tallyline.dashboards.panel_data import Headline, Line, PanelData, read_panel

__all__ = [
    "Dashboard",
    "Headline",
    "Line",
    "Panel",
    "PanelData",
    "Shows",
    "Size",
    "dashboard_of_plan",
    "read_panel",
]
