"""Runs in Airflow's environment: parse DAG folders as the DAG processor does, and tell what Airflow makes of us."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
from airflow.dag_processing.dagbag import DagBag
from airflow.models.serialized_dag import SerializedDagModel
from airflow.providers_manager import ProvidersManager
from airflow.sdk import Asset
from airflow.sdk.definitions._internal.dag_parsing_context import _airflow_parsing_context_manager
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from pendulum import instance


def main() -> None:
    """Look at what is asked for, and write JSON."""
    asked, before = json.loads(sys.argv[1]), set(sys.modules)
    told: dict[str, object] = {"folders": {name: _parsed(folder) for name, folder in asked["folders"].items()}}
    told["modules"] = sorted(set(sys.modules) - before)
    told["starting"] = {dag_id: _starting(folder, dag_id) for dag_id, folder in asked.get("starting", {}).items()}
    told["intervals"] = [_intervals(*each) for each in asked.get("intervals", [])]
    told["provider"] = _provider() if asked.get("provider") else None
    Path(sys.argv[2]).write_text(json.dumps(told, default=str), encoding="utf-8")


def _parsed(folder: str) -> dict[str, object]:
    began = time.process_time()
    bag = DagBag(folder)
    seconds = time.process_time() - began
    dags = {dag_id: _told(dag) for dag_id, dag in bag.dags.items()}
    return {"dags": dags, "errors": bag.import_errors, "seconds": seconds}


def _told(dag: Any) -> dict[str, object]:  # noqa: ANN401
    serialized = DagSerialization.to_dict(dag)
    timetable = serialized["dag"]["timetable"]["__var"]
    return {
        "hash": SerializedDagModel.hash(serialized),
        "text": json.dumps(serialized, default=str),
        "schedule": [timetable["expression"], timetable["timezone"]],
        "start": dag.start_date and dag.start_date.isoformat(),
        "catchup": dag.catchup,
        "tasks": sorted(dag.task_ids),
        "params": sorted(dag.params),
    }


def _starting(folder: str, dag_id: str) -> list[str]:
    with _airflow_parsing_context_manager(dag_id=dag_id, task_id="plan"):
        return sorted(DagBag(folder).dags)


def _intervals(cron: str, zone: str, since: str, until: str) -> list[list[str]]:
    """Return the intervals that are scheduled between two moments."""
    timetable, last = CronDataIntervalTimetable(cron, zone), None
    found: list[list[str]] = []
    restriction = TimeRestriction(instance(datetime.fromisoformat(since)), None, catchup=True)
    while True:
        last = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction).data_interval
        if last.end > datetime.fromisoformat(until):
            return found
        found.append([last.start.in_timezone("UTC").isoformat(), last.end.in_timezone("UTC").isoformat()])


def _provider() -> dict[str, object]:
    known = ProvidersManager()
    info = known.providers["tallyline"]
    jsonschema.validate(
        info.data, json.loads(files("airflow").joinpath("provider_info.schema.json").read_text("utf-8"))
    )
    hook = ProvidersManagerTaskRuntime().hooks["tallyline"]
    return {
        "version": info.version,
        "hook": [hook.hook_class_name, hook.hook_name] if hook else None,
        "links": [name for name in known.extra_links_class_names if "tallyline" in name],
        "settings": sorted(dict(known.provider_configs)["tallyline"]["tallyline"]["options"]),
        "uri": Asset("tallyline://shop/orders/").uri,
    }


main()
