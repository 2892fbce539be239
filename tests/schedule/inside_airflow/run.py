"""Runs in Airflow's environment: each case is a run of a DAG in this process; tell what its tasks did and said."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.dag_processing.dagbag import DagBag
from airflow.models.asset import AssetEvent
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select

from tallyline.schedule.airflow.inside.hook import ServiceHook


def main() -> None:
    """Run the cases, and write JSON."""
    dags = DagBag(conf.get("core", "dags_folder")).dags
    told = {name: _ran(dags[case["dag"]], case) for name, case in json.loads(sys.argv[1]).items()}
    tried = [ServiceHook(name).test_connection() for name in ("echo", "unfit")]
    answer = json.dumps({"runs": told, "assets": _assets(), "tried": tried}, default=str)
    Path(sys.argv[2]).write_text(answer, encoding="utf-8")


def _ran(dag: Any, case: dict[str, Any]) -> dict[str, object]:  # noqa: ANN401
    date = case.get("logical_date")
    run = dag.test(logical_date=date and datetime.fromisoformat(date), run_conf=case.get("conf"))
    with create_session() as session:
        of_run = (TaskInstance.dag_id == dag.dag_id) & (TaskInstance.run_id == run.run_id)
        tasks = session.scalars(select(TaskInstance).where(of_run)).all()
        return {
            "state": str(run.state),
            "tasks": [_task(session, task) for task in sorted(tasks, key=lambda task: (task.task_id, task.map_index))],
        }


def _task(session: Any, task: Any) -> dict[str, object]:  # noqa: ANN401
    model = XComModel
    of_task = (model.dag_id == task.dag_id) & (model.run_id == task.run_id)
    of_task &= (model.task_id == task.task_id) & (model.map_index == task.map_index)
    found = session.execute(select(model.key, model.value).where(of_task)).all()
    return {
        "task": task.task_id,
        "part": task.rendered_map_index,
        "state": str(task.state),
        "tries": task.try_number,
        "told": {key: _plain(value) for key, value in found},
    }


def _plain(value: Any) -> Any:  # noqa: ANN401
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value


def _assets() -> list[object]:
    with create_session() as session:
        events = session.scalars(select(AssetEvent).order_by(AssetEvent.id)).all()
        return [{"uri": event.asset.uri, "extra": event.extra} for event in events]


main()
