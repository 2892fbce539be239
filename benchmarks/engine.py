"""Measure the engine beside a plain loop that does the same work, and beside Bonobo 0.6.4.

Each measurement has a process of its own and counts the CPU seconds of the run alone, without its start-up. The
contestants of a case take turns, and the table has their medians. A goal that is missed is told, and is no failure.

Bonobo's processes run this file too, under what Python there is for them: so its syntax is that of Python 3.7.
"""

from __future__ import annotations

import argparse
import collections
import collections.abc
import importlib
import itertools
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import ModuleType

    Row = tuple[dict[str, object], dict[str, float]]
    Work = Callable[[], object]
    Runs = dict["Contestant", list["Figures"]]

BONOBO = "Bonobo 0.6.4"
BONOBO_NEEDS = ("bonobo==0.6.4", "setuptools<82", "markupsafe<2.1")
BONOBO_ROWS = 20_000
ROWS_A_WAIT, SINK_WAITS = 100, 0.001
ROWS_A_PAGE, PAGE_WAITS, PAGES = 100, 0.05, 20
COUNTRIES = ("at", "be", "ch", "de", "fr", "it", "nl")
DIFFERENT_CENTS = 10_000
NONE = "-"


# The work


def produce(begin: int, end: int) -> Iterator[Row]:
    """Give rows as a source does: what they are about, and their metrics."""
    for number in range(begin, end):
        about = {"country": COUNTRIES[number % 7], "hour": number % 24}
        yield about, {"orders": 1, "cents": number % DIFFERENT_CENTS}


def produce_pages(rows: int) -> Iterator[Row]:
    """Give rows as a slow service does: page by page."""
    for begin in range(0, rows, ROWS_A_PAGE):
        time.sleep(PAGE_WAITS)
        yield from produce(begin, begin + ROWS_A_PAGE)


def clean(row: Row) -> Row:
    """Build what the row is about anew."""
    dims, metrics = row
    return {"country": str(dims["country"]).upper(), "hour": dims["hour"]}, metrics


def label(row: Row) -> Row:
    """Add to what the row is about."""
    dims, metrics = row
    return {**dims, "channel": "shop" if dims["hour"] == 0 else "web"}, metrics


def convert(row: Row) -> Row:
    """Add to the metrics."""
    dims, metrics = row
    return dims, {**metrics, "euros": metrics["cents"] / 100}


class Sink:
    """Where rows end: counted and added up, so that a lost row is noticed."""

    def __init__(self) -> None:
        self.rows = 0
        self.cents = 0.0

    def add(self, row: Row) -> None:
        """Take a row."""
        self.rows += 1
        self.cents += row[1]["cents"]

    def check(self, rows: int, arrivals: int) -> None:
        """Refuse a run in which not every row arrived so many times."""
        full, rest = divmod(rows, DIFFERENT_CENTS)
        cents = full * DIFFERENT_CENTS * (DIFFERENT_CENTS - 1) // 2 + rest * (rest - 1) // 2
        if (self.rows, self.cents) != (rows * arrivals, cents * arrivals):
            sys.exit(f"{self.rows} of {rows * arrivals} rows arrived, with {self.cents:g} of {cents * arrivals} cents")


def waiting(add: Callable[[Row], None]) -> Callable[[Row], None]:
    """Let a sink wait now and then, as one does that loads in chunks."""
    count = itertools.count(1)

    def add_slowly(row: Row) -> None:
        add(row)
        if next(count) % ROWS_A_WAIT == 0:
            time.sleep(SINK_WAITS)

    return add_slowly


# The contestants: each prepares its work, which is then measured


def loop_chain(rows: int, sink: Sink) -> Work:
    """Call the nodes in a loop."""
    return partial(loop_into, sink.add, rows)


def loop_chain_waiting(rows: int, sink: Sink) -> Work:
    """Call the nodes in a loop, the last one waiting."""
    return partial(loop_into, waiting(sink.add), rows)


def loop_into(add: Callable[[Row], None], rows: int) -> None:
    """Do what the chain does."""
    for row in produce(0, rows):
        add(convert(label(clean(row))))


def waiting_alone(rows: int, _: Sink) -> Work:
    """Wait as often as the waiting sink does, and do nothing else."""

    def work() -> None:
        for _ in range(rows // ROWS_A_WAIT):
            time.sleep(SINK_WAITS)

    return work


def loop_fork_sharing(rows: int, sink: Sink) -> Work:
    """Give both branches the same row."""

    def work() -> None:
        add = sink.add
        for row in produce(0, rows):
            add(label(row))
            add(convert(row))

    return work


def loop_fork_copying(rows: int, sink: Sink) -> Work:
    """Give each branch a row of its own, as the engine does."""

    def work() -> None:
        add = sink.add
        for row in produce(0, rows):
            dims, metrics = row
            own = dims.copy(), metrics.copy()
            add(label(row))
            add(convert(own))

    return work


def loop_two_sources(rows: int, sink: Sink) -> Work:
    """Read one source after the other."""

    def work() -> None:
        for row in itertools.chain(produce_pages(rows), produce_pages(rows)):
            sink.add(row)

    return work


def tallyline_chain(rows: int, sink: Sink) -> Work:
    """Run the chain."""
    engine = tallyline()
    return partial(engine.run, engine.Graph(partial(produce, 0, rows), clean, label, convert, sink.add))


def tallyline_chain_waiting(rows: int, sink: Sink) -> Work:
    """Run the chain with its sink in a thread of its own."""
    engine = tallyline()
    last = engine.node(waiting(sink.add), concurrency=1)
    return partial(engine.run, engine.Graph(partial(produce, 0, rows), clean, label, convert, last))


def tallyline_fork(rows: int, sink: Sink) -> Work:
    """Run two branches between one source and one sink."""
    engine = tallyline()
    graph = engine.Graph(engine.node(partial(produce, 0, rows), name="produce"), label, sink.add)
    graph["produce"] >> convert >> graph["add"]
    return partial(engine.run, graph)


def tallyline_one_source(rows: int, sink: Sink) -> Work:
    """Run one slow source into a sink."""
    engine = tallyline()
    return partial(engine.run, engine.Graph(partial(produce_pages, rows), sink.add))


def tallyline_two_sources(rows: int, sink: Sink) -> Work:
    """Run two slow sources into one sink."""
    engine = tallyline()
    graph = engine.Graph(partial(produce_pages, rows), sink.add)
    graph >> partial(produce_pages, rows) >> graph["add"]
    return partial(engine.run, graph)


def bonobo_chain(rows: int, sink: Sink) -> Work:
    """Run the chain in Bonobo, with its services made and imported beforehand."""
    bonobo = shimmed_bonobo()
    nodes = [spread(function) for function in (clean, label, convert, sink.add)]
    graph = bonobo.Graph(partial(produce, 0, rows), *nodes)
    services = dict(importlib.import_module("bonobo.config").create_container({}))
    return partial(bonobo.run, graph, services=services)


def tallyline() -> ModuleType:
    """Import the engine, here and only in its own processes."""
    return importlib.import_module("tallyline.graph")


def shimmed_bonobo() -> ModuleType:
    """Import Bonobo, which looks in `collections` for what has moved away from there."""
    for name in collections.abc.__all__:
        setattr(collections, name, getattr(collections.abc, name))
    return importlib.import_module("bonobo")


def spread(function: Callable[[Row], object]) -> Callable[..., object]:
    """Take a row as Bonobo gives it: as two arguments."""
    return lambda dims, metrics: function((dims, metrics))


PREPARATIONS = {
    function.__name__: function
    for function in (
        loop_chain,
        tallyline_chain,
        bonobo_chain,
        loop_fork_sharing,
        loop_fork_copying,
        tallyline_fork,
        loop_chain_waiting,
        waiting_alone,
        tallyline_chain_waiting,
        loop_two_sources,
        tallyline_one_source,
        tallyline_two_sources,
    )
}


# What is measured, and what is hoped for


@dataclass(frozen=True)
class Figures:
    """What one run took, or the medians of several."""

    cpu: float
    wall: float
    mebibytes: float


@dataclass(frozen=True)
class Goal:
    """How the figures of a contestant are to compare with those of another in its case."""

    limit: float
    of: str
    against: str
    said: str
    is_floor: bool = False

    def __str__(self) -> str:
        """Return the limit as it is printed."""
        return f"{'≥' if self.is_floor else '≤'} {self.limit:g}"

    def verdict(self, ratio: float) -> str:
        """Say whether the goal is met."""
        return "met" if (ratio >= self.limit if self.is_floor else ratio <= self.limit) else "missed"


@dataclass(frozen=True)
class Contestant:
    """Someone who does the work of a case; every row is to arrive `arrivals` times."""

    case: str
    title: str
    does: str
    rows: int
    arrivals: int = 1
    goals: tuple[Goal, ...] = ()


LOOP = "plain loop"
CASES = ("chain", "fork", "sink", "sources", "memory")


def contestants(rows: int, *, full: bool) -> list[Contestant]:
    """Return all who compete, case by case."""
    return [
        *chain(rows),
        *fork_and_merge(rows // 2),
        *waiting_sink(max(rows // 20, ROWS_A_WAIT)),
        *slow_sources(PAGES * ROWS_A_PAGE),
        *memory([10**5, 10**6, *([10**7] if full else [])]),
    ]


def chain(rows: int) -> Iterator[Contestant]:
    """Producer, three transforms, sink."""
    case, engine = "chain", "Tallyline"
    of_loop = Goal(1.5, "cpu", LOOP, "times the loop's CPU")
    of_engine = Goal(50, "cpu", engine, "times Tallyline's CPU", is_floor=True)
    yield Contestant(case, LOOP, "loop_chain", rows)
    yield Contestant(case, engine, "tallyline_chain", rows, goals=(of_loop,))
    yield Contestant(case, BONOBO, "bonobo_chain", BONOBO_ROWS, goals=(of_engine,))


def fork_and_merge(rows: int) -> Iterator[Contestant]:
    """Producer, two branches of one transform each, one sink."""
    case = "fork"
    of_loop = Goal(2, "cpu", LOOP, "times the loop's CPU")
    yield Contestant(case, LOOP, "loop_fork_copying", rows, 2)
    yield Contestant(case, "the loop without copies", "loop_fork_sharing", rows, 2)
    yield Contestant(case, "Tallyline", "tallyline_fork", rows, 2, (of_loop,))


def waiting_sink(rows: int) -> Iterator[Contestant]:
    """The chain with a sink that waits longer than all others work."""
    case, alone = "sink", "the waiting alone"
    of_time = Goal(1.2, "wall", alone, "times the waiting's time")
    of_loop = Goal(1.6, "cpu", LOOP, "times the loop's CPU")
    yield Contestant(case, LOOP, "loop_chain_waiting", rows)
    yield Contestant(case, alone, "waiting_alone", rows, 0)
    yield Contestant(case, "Tallyline, sink in a thread", "tallyline_chain_waiting", rows, goals=(of_time, of_loop))


def slow_sources(rows: int) -> Iterator[Contestant]:
    """Two sources that wait for each page, into one sink."""
    case, one = "sources", "Tallyline, one source alone"
    of_one = Goal(1.2, "wall", one, "times the time of one")
    yield Contestant(case, "loop, one after the other", "loop_two_sources", rows, 2)
    yield Contestant(case, one, "tallyline_one_source", rows)
    yield Contestant(case, "Tallyline, both sources", "tallyline_two_sources", rows, 2, (of_one,))


def memory(sizes: Sequence[int]) -> Iterator[Contestant]:
    """The chain again, for more and more rows."""
    first, *others = (f"Tallyline, {size:,} rows" for size in sizes)
    flat = Goal(1.1, "mebibytes", first, "times the peak of the first")
    for size, title in zip(sizes, [first, *others]):  # noqa: B905  # `strict` is not in Python 3.7
        yield Contestant("memory", title, "tallyline_chain", size, goals=() if title == first else (flat,))


# Measuring


class BonoboMissing(Exception):
    """Bonobo does not run here."""


def measure(does: str, rows: int, arrivals: int) -> Figures:
    """Do a contestant's work in this process."""
    sink = Sink()
    work = PREPARATIONS[does](rows, sink)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    sink.check(rows, arrivals)
    return Figures(cpu, wall, peak_mebibytes())


def peak_mebibytes() -> float:
    """Return the most memory that this process had."""
    resource = importlib.import_module("resource")  # Windows has none
    peak: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def measure_in_turn(competing: Iterable[Contestant], repeat: int, bonobo: Bonobo) -> Runs:
    """Let the contestants of each case take turns."""
    runs: Runs = {}
    for case, group in itertools.groupby(competing, key=lambda contestant: contestant.case):
        print(f"{case} …", file=sys.stderr, flush=True)
        for _, contestant in itertools.product(range(1 if case == "memory" else repeat), list(group)):
            runs.setdefault(contestant, []).extend(measure_apart(contestant, bonobo))
    return runs


def measure_apart(contestant: Contestant, bonobo: Bonobo) -> list[Figures]:
    """Do a contestant's work in a process of its own; where Bonobo is missing, give nothing."""
    if contestant.title != BONOBO:
        return [measured([sys.executable], contestant)]
    if not bonobo.missing:
        try:
            return [measured(bonobo.command(), contestant)]
        except BonoboMissing as error:
            bonobo.missing = str(error)
    return []


def measured(python: Sequence[str], contestant: Contestant) -> Figures:
    """Do a contestant's work in that Python."""
    order = ["--measure", contestant.does, str(contestant.rows), str(contestant.arrivals)]
    child = subprocess.run([*python, __file__, *order], capture_output=True, text=True, check=False)
    if child.returncode == 0:
        return Figures(**json.loads(child.stdout.splitlines()[-1]))
    if contestant.title == BONOBO:
        raise BonoboMissing(last_line(child.stderr))
    sys.exit(f"{contestant.case}, {contestant.title}: {child.stderr}")


def medians(runs: Sequence[Figures]) -> Figures:
    """Return the median of each figure."""
    return Figures(*(statistics.median(getattr(run, name) for run in runs) for name in ("cpu", "wall", "mebibytes")))


class Bonobo:
    """An environment with Bonobo in it, made on first use and kept in the user's cache."""

    def __init__(self) -> None:
        self.base = first_that_runs("python3.7") or sys.executable
        self.python = ""
        self.missing = ""

    def command(self) -> list[str]:
        """Return what runs a script with Bonobo, after making its environment if need be."""
        self.python = output([self.base, "-c", "import platform; print(platform.python_version())"])
        home = cache() / f"bonobo-0.6.4-python-{self.python}"
        program, ready = home / "bin" / "python", home / "ready"
        if not ready.exists():
            print(f"making {home} …", file=sys.stderr, flush=True)
            self._make(home, program)
            ready.touch()
        return [str(program), "-I"]

    def told(self) -> str:
        """Return in one line how it runs, or why it does not."""
        if self.missing:
            return f"skipped: {self.missing}"
        return f"on Python {self.python}" if self.python else "not asked for"

    def _make(self, home: Path, program: Path) -> None:
        uv = os.environ.get("UV") or shutil.which("uv")
        if uv:
            output([uv, "venv", "--clear", "--python", self.base, str(home)])
            output([uv, "pip", "install", "--python", str(program), *BONOBO_NEEDS])
        else:
            output([self.base, "-m", "venv", "--clear", str(home)])
            output([str(program), "-m", "pip", "install", *BONOBO_NEEDS])


def cache() -> Path:
    """Return the directory for what the benchmarks keep."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tallyline-benchmarks"


def first_that_runs(*names: str) -> str | None:
    """Return the first program that is there and runs; pyenv has names on PATH for more than it offers."""
    for program in filter(None, map(shutil.which, names)):
        if subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0:
            return program
    return None


def output(command: Sequence[str]) -> str:
    """Run a command for Bonobo's environment and return what it prints."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except subprocess.CalledProcessError as error:
        raise BonoboMissing(last_line(error.stderr)) from error
    except OSError as error:
        raise BonoboMissing(str(error)) from error


def last_line(text: str) -> str:
    """Return the line that says what went wrong."""
    return (text.strip() or "it failed").splitlines()[-1].strip()


# Telling


HEAD = (
    "case",
    "contestant",
    "rows",
    "CPU s",
    "rows per CPU s",
    "wall s",
    "peak MiB",
    "of loop",
    "result",
    "goal",
    "verdict",
)
TO_THE_RIGHT = range(HEAD.index("rows"), HEAD.index("result"))


@dataclass(frozen=True)
class Result:
    """A contestant's figures, and what they come to beside those of its case."""

    contestant: Contestant
    runs: list[Figures]
    case: dict[str, Contestant]
    case_medians: dict[str, Figures]

    @property
    def median(self) -> Figures | None:
        """The figures that are told, None where it did not run."""
        return self.case_medians.get(self.contestant.title)

    @property
    def of_loop(self) -> float | None:
        """Its CPU seconds a row, over the plain loop's."""
        return self.ratio("cpu", LOOP)

    @property
    def rows_per_cpu_second(self) -> float | None:
        """Rows of the source for each CPU second."""
        median = self.median
        return self.contestant.rows / median.cpu if median and self.contestant.arrivals else None

    def ratio(self, of: str, against: str) -> float | None:
        """Return its figure over another's: CPU seconds a row, all others as they are."""
        other = self.case_medians.get(against)
        if self.median is None or other is None:
            return None
        ratio: float = getattr(self.median, of) / getattr(other, of)
        return ratio * self.case[against].rows / self.contestant.rows if of == "cpu" else ratio

    def verdicts(self) -> Iterator[tuple[str, str, str]]:
        """Give what each goal is about, the goal and the verdict."""
        for goal in self.contestant.goals:
            ratio = self.ratio(goal.of, goal.against)
            if ratio is None:
                yield NONE, str(goal), "skipped"
            else:
                yield f"{ratio:.2f} {goal.said}", str(goal), goal.verdict(ratio)


def compared(runs: Runs) -> list[Result]:
    """Set the contestants of each case beside each other."""
    results = []
    for _, group in itertools.groupby(runs, key=lambda contestant: contestant.case):
        case = {contestant.title: contestant for contestant in group}
        case_medians = {title: medians(runs[one]) for title, one in case.items() if runs[one]}
        results += [Result(one, runs[one], case, case_medians) for one in case.values()]
    return results


def table(results: Iterable[Result]) -> str:
    """Return the results as a table in Markdown."""
    lines = [HEAD, *itertools.chain.from_iterable(map(lines_of, results))]
    widths = [max(map(len, column)) for column in zip(*lines)]  # noqa: B905  # `strict` is not in Python 3.7
    rule = ["-" * (width - 1) + ":" if at in TO_THE_RIGHT else "-" * width for at, width in enumerate(widths)]
    return "\n".join(line_of_table(line, widths) for line in (HEAD, rule, *lines[1:]))


def line_of_table(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return one line, with numbers to the right."""
    padded = (cell.rjust(widths[at]) if at in TO_THE_RIGHT else cell.ljust(widths[at]) for at, cell in enumerate(cells))
    return f"| {' | '.join(padded)} |"


def lines_of(result: Result) -> Iterator[tuple[str, ...]]:
    """Give the cells for a contestant, with a line for each goal."""
    first, *further = list(result.verdicts()) or [("", "", "")]
    yield (*figures_of(result), *first)
    for verdict in further:
        yield (*[""] * len(TO_THE_RIGHT), "", "", *verdict)


def figures_of(result: Result) -> tuple[str, ...]:
    """Return the cells that come before the goal."""
    contestant, median = result.contestant, result.median
    told = (contestant.case, contestant.title, f"{contestant.rows:,}")
    if median is None:
        return (*told, *[NONE] * 5)
    rate, of_loop = result.rows_per_cpu_second, result.of_loop
    return (
        *told,
        f"{median.cpu:.3f}",
        f"{rate:,.0f}" if rate else NONE,
        f"{median.wall:.3f}",
        f"{median.mebibytes:.1f}",
        f"{of_loop:.2f}" if of_loop else NONE,
    )


def told_about(options: argparse.Namespace, bonobo: Bonobo) -> dict[str, str | int]:
    """Return under which circumstances the figures came about."""
    return {
        "python": platform.python_version(),
        "processors": os.cpu_count() or 0,
        "load": f"{os.getloadavg()[0]:.1f}",
        "repetitions": options.repeat,
        "engine": str(Path(tallyline().__file__ or "").parent),
        "bonobo": bonobo.told(),
    }


def as_plain_data(result: Result) -> dict[str, object]:
    """Return a result for JSON."""
    one = result.contestant
    return {
        "case": one.case,
        "contestant": one.title,
        "rows": one.rows,
        "median": asdict(result.median) if result.median else None,
        "rows_per_cpu_second": result.rows_per_cpu_second,
        "of_loop": result.of_loop,
        "goals": [
            {**asdict(goal), "ratio": result.ratio(goal.of, goal.against), "verdict": verdict}
            for goal, (_, _, verdict) in zip(one.goals, result.verdicts())  # noqa: B905
        ],
        "runs": list(map(asdict, result.runs)),
    }


def positive(text: str) -> int:
    """Return the number, which is to be 1 at least."""
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def parsed() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description="Measure the engine beside a plain loop and beside Bonobo 0.6.4.")
    parser.add_argument(
        "--rows", type=positive, default=10**6, help="rows of the chain; half for the fork (%(default)s)"
    )
    parser.add_argument("--repeat", type=positive, default=5, help="how often each measurement is made (%(default)s)")
    parser.add_argument("--full", action="store_true", help="measure the memory for ten million rows, too")
    parser.add_argument("--only", metavar="CASE", choices=CASES, help=f"measure one case: {', '.join(CASES)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure and tell; or, in a child, do one contestant's work."""
    options = parsed()
    if options.measure:
        does, rows, arrivals = options.measure
        print(json.dumps(asdict(measure(does, int(rows), int(arrivals)))))
        return
    bonobo = Bonobo()
    competing = [one for one in contestants(options.rows, full=options.full) if options.only in {None, one.case}]
    results = compared(measure_in_turn(competing, options.repeat, bonobo))
    about = told_about(options, bonobo)
    print("; ".join(f"{name} {value}" for name, value in about.items()), table(results), sep="\n\n")
    if options.json:
        data = {"about": about, "results": list(map(as_plain_data, results))}
        options.json.write_text(json.dumps(data, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
