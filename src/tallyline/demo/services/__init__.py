"""The services that Pagesnap, the simulated company, would be a customer of: real clients ask, nothing is sent.

Each answers in this process as the real one would, with numbers of the product database where that knows them.
"""

from __future__ import annotations

from tallyline.demo.services.google_analytics import google_analytics_of
from tallyline.demo.services.prometheus import prometheus_of
from tallyline.demo.services.sentry import sentry_of
from tallyline.demo.services.stripe import stripe_of

__all__ = ["google_analytics_of", "prometheus_of", "sentry_of", "stripe_of"]
