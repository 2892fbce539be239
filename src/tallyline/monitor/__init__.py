"""What the warehouse knows, judged: how its sources are."""

from tallyline.monitor.status import SourceStatus, source_status

__all__ = ["SourceStatus", "source_status"]
