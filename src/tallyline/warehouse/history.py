"""What was known before: values that have been restated since, when, and by which run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import or_, select, union_all

from tallyline.warehouse import schema

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import FromClause

    from tallyline.window import Grain

__all__ = ["facts_as_of"]


def facts_as_of(grain: Grain, moment: datetime) -> FromClause:
    """Return the facts as they were known at a moment: with columns bucket, value, series_id and sketch."""
    facts, restated = schema.FACTS[grain], schema.RESTATEMENTS[grain]
    wrote, replaced = schema.run.alias("wrote"), schema.run.alias("replaced")
    now = select(facts.c.bucket, facts.c.value, facts.c.series_id, facts.c.sketch).outerjoin(
        wrote, wrote.c.id == facts.c.run_id
    )
    then = (
        select(restated.c.bucket, restated.c.value, restated.c.series_id, restated.c.sketch)
        .outerjoin(wrote, wrote.c.id == restated.c.run_id)
        .join(replaced, replaced.c.id == restated.c.replaced_by)
        .where(replaced.c.ended_at > moment)
    )
    was_there = or_(wrote.c.ended_at <= moment, wrote.c.id.is_(None))
    return union_all(now.where(was_there), then.where(was_there)).subquery("known")
