"""The built-in page: dashboards and the ledger of runs in a browser on this machine."""

from tallyline.web.app import make_app
from tallyline.web.serve import serve

__all__ = ["make_app", "serve"]
