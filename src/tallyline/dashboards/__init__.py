"""One neutral definition of dashboards, and the data that their panels show."""

from tallyline.dashboards.definition import Dashboard, Panel, Shows, Size, dashboard_of_plan, panel_title
from tallyline.dashboards.panel_data import Headline, Line, PanelData, read_panel
from tallyline.dashboards.pipeline import (
    RunsData,
    Stretch,
    known_until,
    measured,
    read_runs,
    stretches,
    tellers_of,
)

__all__ = [
    "Dashboard",
    "Headline",
    "Line",
    "Panel",
    "PanelData",
    "RunsData",
    "Shows",
    "Size",
    "Stretch",
    "dashboard_of_plan",
    "known_until",
    "measured",
    "panel_title",
    "read_panel",
    "read_runs",
    "stretches",
    "tellers_of",
]
