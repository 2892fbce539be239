"""The plan: which metrics matter, what each of them is, and the one shape that measurements come in."""

from tallyline.plan.formula import Formula, inlined, parse_formula
from tallyline.plan.metric import Kind, Measured, Metric, Plan, check_formulas, kept_as, named, with_units
from tallyline.plan.points import Combine, Normalizer, Point, Points, SeriesKey
from tallyline.plan.retention import Retention
from tallyline.plan.sketch import RELATIVE_ERROR, Sketch, is_statistic, statistic

__all__ = [
    "RELATIVE_ERROR",
    "Combine",
    "Formula",
    "Kind",
    "Measured",
    "Metric",
    "Normalizer",
    "Plan",
    "Point",
    "Points",
    "Retention",
    "SeriesKey",
    "Sketch",
    "check_formulas",
    "inlined",
    "is_statistic",
    "kept_as",
    "named",
    "parse_formula",
    "statistic",
    "with_units",
]
