"""The metrics store: values by hour and day under named metrics, and the ledger of the runs that wrote them."""

from tallyline.warehouse.ledger import Changes, RunRecord
from tallyline.warehouse.read import Value
from tallyline.warehouse.warehouse import Warehouse, open_warehouse
from tallyline.warehouse.write import Reading

__all__ = ["Changes", "Reading", "RunRecord", "Value", "Warehouse", "open_warehouse"]
