"""The metrics store: values by hour and day under named metrics, and the ledger of the runs that wrote them."""

from tallyline.warehouse.answer import Answer, Value
from tallyline.warehouse.condition import condition_of
from tallyline.warehouse.coverage import Coverage, Covered
from tallyline.warehouse.history import History, Version
from tallyline.warehouse.ledger import Changes, RunRecord
from tallyline.warehouse.overview import Overview, RunCount, SourceOverview
from tallyline.warehouse.progress import Failure, Progress, Wanted
from tallyline.warehouse.reading import Reading
from tallyline.warehouse.retention import Cleaned
from tallyline.warehouse.warehouse import Warehouse, open_warehouse
from tallyline.warehouse.write import Differing

__all__ = [
    "Answer",
    "Changes",
    "Cleaned",
    "Coverage",
    "Covered",
    "Differing",
    "Failure",
    "History",
    "Overview",
    "Progress",
    "Reading",
    "RunCount",
    "RunRecord",
    "SourceOverview",
    "Value",
    "Version",
    "Wanted",
    "Warehouse",
    "condition_of",
    "open_warehouse",
]
