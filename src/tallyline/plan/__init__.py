"""The plan: which metrics matter, what each of them is, and the one shape that measurements come in."""

from tallyline.plan.metric import Kind, Metric, Plan
from tallyline.plan.points import Combine, Normalizer, Point, Points

__all__ = ["Combine", "Kind", "Metric", "Normalizer", "Plan", "Point", "Points"]
