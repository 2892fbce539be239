"""Measure reading from Prometheus beside the bare HTTP and JSON: the same requests, their answers only parsed.

The history is made up, and a private Prometheus answers, where there is one; it is asked by both in turns, each in
processes of their own. Wall-clock seconds count all that a reader waits for, CPU seconds only its own process. A goal
that is missed is told, and is no failure.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections import deque
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import httpx2
from engine import last_line, positive

from tallyline.api import Api, opened
from tallyline.sources.prometheus import read_prometheus
from tallyline.window import Grain, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

GOAL = 2.0
BEGINS = datetime(2025, 1, 1, tzinfo=UTC)
HOURS_A_SERIES = 1000
QUERY, PLAIN = "jobs_waiting", "waiting"
READY, LISTENS = "Server is ready to receive web requests", '"Listening on" address='
UTC_ZONE = ZoneInfo("UTC")
MISSING = "no Prometheus: on Debian, apt-get install prometheus"


def history(series: int, hours: int) -> Iterator[str]:
    """Give a sample of each series at every full hour, as OpenMetrics."""
    for number in range(series):
        labels = f'queue="q{number:03}",instance="worker-{number % 10}:9100",job="workers"'
        for hour in range(1, hours + 1):
            moment = int((BEGINS + timedelta(hours=hour)).timestamp())
            yield f"{QUERY}{{{labels}}} {(number * 7919 + hour * 31) % 1000 + number / 7} {moment}\n"
    yield "# EOF\n"


@contextmanager
def prometheus(folder: Path, lines: Iterable[str]) -> Iterator[str]:
    """Run a Prometheus that knows these samples; give its URL."""
    (folder / "prometheus.yml").touch()
    (folder / "history.txt").write_text("".join(lines), encoding="utf-8")
    promtool = ["promtool", "tsdb", "create-blocks-from", "--max-block-duration=744h", "openmetrics"]
    subprocess.run([*promtool, folder / "history.txt", folder / "data"], check=True, capture_output=True)
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        "--web.listen-address=127.0.0.1:0",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        told: SimpleQueue[str] = SimpleQueue()
        reader = Thread(target=lambda: [told.put(line) for line in process.stderr or ()], daemon=True)
        reader.start()
        try:
            yield f"http://{_address(told)}"
        finally:
            process.terminate()
            process.wait()
            reader.join()


def _address(lines: SimpleQueue[str]) -> str:
    address = ""
    while READY not in (line := lines.get(timeout=60)):
        address = line.partition(LISTENS)[2].strip() or address
    return address


# The contestants, each in a process of its own


def bare(url: str, hours: int) -> int:
    """Ask, and parse the answer."""
    first = int((BEGINS + timedelta(hours=1)).timestamp())
    params = {"query": QUERY, "start": first, "end": first + 3600 * (hours - 1), "step": 3600}
    with httpx2.Client(timeout=60) as client:
        answer = json.loads(client.get(f"{url}/api/v1/query_range", params=params).content)
    return sum(len(series["values"]) for series in answer["data"]["result"])


def read(url: str, hours: int) -> int:
    """Read as a run does, up to the rows."""
    window = Window(BEGINS, BEGINS + timedelta(hours=hours))
    with opened(Api(url)) as api:
        rows = read_prometheus(api, {PLAIN: QUERY}, window, UTC_ZONE, datetime.now(UTC), grain=Grain.HOUR)
        counted: deque[tuple[int, object]] = deque(enumerate(rows, 1), maxlen=1)
    return counted[0][0]


CONTESTANTS: dict[str, Callable[[str, int], int]] = {"bare HTTP and JSON": bare, "read_prometheus": read}


def measure(contestant: str, url: str, hours: int) -> None:
    """Do it once to warm up, then once more, and print the figures of that."""
    work = CONTESTANTS[contestant]
    work(url, hours)
    wall, cpu = time.perf_counter(), time.process_time()
    rows = work(url, hours)
    print(json.dumps({"rows": rows, "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}))


def measured(contestant: str, url: str, hours: int) -> dict[str, float]:
    """Measure a contestant in a process of its own."""
    command = [sys.executable, __file__, "--measure", contestant, "--url", url, "--hours", str(hours)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(last_line(done.stderr))
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


# Telling


def tell(runs: dict[str, list[dict[str, float]]]) -> None:
    """Print the medians as a table, and whether the goal is met."""
    middle = {
        name: {key: statistics.median(run[key] for run in figures) for key in ("rows", "wall", "cpu")}
        for name, figures in runs.items()
    }
    base = middle["bare HTTP and JSON"]
    print(f"Python {platform.python_version()}, medians of {len(runs['read_prometheus'])}\n")
    print("| contestant | samples | wall s | ratio | CPU s of the reader | ratio |\n|---|---:|---:|---:|---:|---:|")
    for name, told in middle.items():
        wall, cpu = told["wall"] / base["wall"], told["cpu"] / base["cpu"]
        print(f"| {name} | {told['rows']:,.0f} | {told['wall']:.3f} | {wall:.2f} | {told['cpu']:.3f} | {cpu:.2f} |")
    ratio = middle["read_prometheus"]["wall"] / base["wall"]
    met = "met" if ratio < GOAL else "MISSED"
    print(f"\ngoal: under {GOAL:g} times the bare wall-clock time: {ratio:.2f} times, {met}")


def parsed() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description="Measure reading from Prometheus beside the bare HTTP and JSON.")
    parser.add_argument("--samples", type=positive, default=100_000, help="samples to read (%(default)s)")
    parser.add_argument("--repeat", type=positive, default=7, help="how often each is measured (%(default)s)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--hours", type=positive, default=HOURS_A_SERIES, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure both in turns."""
    asked = parsed()
    if asked.measure:
        measure(asked.measure, asked.url, asked.hours)
        return
    if not shutil.which("prometheus"):
        print(MISSING)
        return
    series = max(asked.samples // asked.hours, 1)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
    with TemporaryDirectory() as folder, prometheus(Path(folder), history(series, asked.hours)) as url:
        for _ in range(asked.repeat):
            for name, figures in runs.items():
                figures.append(measured(name, url, asked.hours))
    tell(runs)


if __name__ == "__main__":
    main()
