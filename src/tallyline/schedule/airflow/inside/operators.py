"""The operators of Tallyline's DAGs. What they do is in `tallyline.schedule.airflow.work`, imported where they run."""

from __future__ import annotations

import traceback
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias, BaseHook, BaseOperator, BaseOperatorLink
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowSkipException,
)

from tallyline.errors import TallylineError, wait_before_retry
from tallyline.schedule.airflow.asked import Asked
from tallyline.schedule.airflow.provider import SCHEME
from tallyline.secret import masked
from tallyline.window import utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

__all__ = ["FOLDER", "CleanOperator", "PlanOperator", "ReadOperator", "RunLink", "asset_alias", "metric_asset"]

FOLDER = "tallyline_folder"


class TryLater(AirflowException):
    """What was asked may work later; `wait` is how long the service wants to be left alone, where it says so."""

    def __init__(self, message: str, wait: timedelta | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class RunLink(BaseOperatorLink):
    """Leads to the run on Tallyline's page, where the setting `page_url` says that there is one."""

    name = "Tallyline run"

    def get_link(self, operator: BaseOperator, *, ti_key: object) -> str:
        """Return the address of the run that the task has just made."""
        del ti_key
        page, run = conf.get("tallyline", "page_url", fallback=""), getattr(operator, "run", None)
        return f"{page.rstrip('/')}/runs#run-{run}" if page and run else ""


class PlanOperator(BaseOperator):
    """Tells which window a run is for, in parts as long as the source is read at once."""

    def __init__(self, *, source: str, **kwargs: Any) -> None:  # noqa: ANN401  # Airflow's own
        super().__init__(**kwargs)
        self.source = source

    def execute(self, context: Any) -> list[dict[str, str]]:  # noqa: ANN401  # Airflow's own
        """Return the parts, for the tasks that read them."""
        from tallyline.schedule.airflow import work  # noqa: PLC0415  # SQLAlchemy only where a task runs

        with _told_to_airflow(self):
            return work.planned(_folder(context), self.source, _asked(context), utc_now())


class ReadOperator(BaseOperator):
    """Reads a part of a window into the warehouse, and returns the report."""

    operator_extra_links = (RunLink(),)

    def __init__(self, *, source: str, part: Any, **kwargs: Any) -> None:  # noqa: ANN401  # of a task before
        super().__init__(**kwargs)
        self.source = source
        self.part = part
        self.run: int | None = None

    def execute(self, context: Any) -> dict[str, object]:  # noqa: ANN401  # Airflow's own
        """Read, tell which metrics were written, and return what was done."""
        from tallyline.schedule.airflow import work  # noqa: PLC0415  # SQLAlchemy only where a task runs

        with _told_to_airflow(self):
            result = work.read(_folder(context), self.source, self.part, look_up, utc_now())
            self.run = result.run
            self.log.info("%s %s\n%s", self.source, self.part["name"], masked(str(result.report)))
            if result.error is not None:
                raise result.error
        told = work.told(result)
        if self.outlets:
            self._tell_assets(context, sorted(result.metrics), told)
        return told

    def _tell_assets(self, context: Any, metrics: list[str], told: dict[str, object]) -> None:  # noqa: ANN401
        prefix = context["dag"].dag_id.partition(".")[0]
        extra = {key: told[key] for key in ("source", "since", "until", "run")}
        events = context["outlet_events"][asset_alias(prefix, self.source)]
        for metric in metrics:
            events.add(metric_asset(prefix, metric), extra=extra)


class CleanOperator(BaseOperator):
    """Removes what the project keeps no longer, source by source."""

    def execute(self, context: Any) -> dict[str, dict[str, object]]:  # noqa: ANN401  # Airflow's own
        """Return what went of each source."""
        from tallyline.schedule.airflow import work  # noqa: PLC0415  # SQLAlchemy only where a task runs

        with _told_to_airflow(self):
            cleaned = work.clean(_folder(context), look_up)
        if not cleaned:
            msg = "the project keeps everything: there is no [retention] in its file"
            raise AirflowSkipException(msg)
        return cleaned


def look_up(name: str) -> Any:  # noqa: ANN401  # Airflow's own
    """Return the Connection of that name, None where there is none."""
    try:
        return BaseHook.get_connection(name)
    except AirflowNotFoundException:
        return None


def asset_alias(prefix: str, source: str) -> AssetAlias:
    """Return what stands for the metrics that a source writes, before it has told which."""
    return AssetAlias(f"{prefix}.{source}")


def metric_asset(prefix: str, metric: str) -> Asset:
    """Return the asset of a metric, which other DAGs can wait for by its address alone."""
    return Asset(f"{SCHEME}://{prefix}/{metric}")


def _folder(context: Any) -> Path:  # noqa: ANN401  # Airflow's own
    return Path(context["dag"].user_defined_macros[FOLDER])


def _asked(context: Any) -> Asked:  # noqa: ANN401  # Airflow's own
    run = context["dag_run"]
    return Asked(
        run_type=str(getattr(run.run_type, "value", run.run_type)),
        run_after=_moment(run.run_after),
        logical_date=run.logical_date and _moment(run.logical_date),
        since=run.data_interval_start and _moment(run.data_interval_start),
        until=run.data_interval_end and _moment(run.data_interval_end),
        conf=run.conf or {},
    )


def _moment(moment: datetime) -> datetime:
    """Return a moment of Airflow's as one of Python's own, in UTC."""
    return datetime.fromtimestamp(moment.timestamp(), UTC)


@contextmanager
def _told_to_airflow(operator: BaseOperator) -> Iterator[None]:
    """Let errors end the task as Airflow has it: for good, or to be tried again; no secret is told."""
    from tallyline.schedule.airflow import work  # noqa: PLC0415

    try:
        yield
    except Exception as error:  # noqa: BLE001  # whatever it is, another one is raised for it
        if not isinstance(error, TallylineError) or error.__cause__ is not None:
            traced = "".join(traceback.format_exception(error))
            operator.log.error("%s", masked(traced))  # noqa: TRY400  # with its secrets, it would log the error itself
        if not isinstance(error, TallylineError):
            raise AirflowException(masked(f"{type(error).__name__}: {error}")) from None
        if work.is_worth_another_try(error):
            raise TryLater(masked(str(error)), wait_before_retry(error) or None) from None
        raise AirflowFailException(masked(str(error))) from None
