"""`tallyline doctor`."""

from __future__ import annotations

import json
import textwrap
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from rich.markup import escape
from rich.text import Text

from tallyline.cli.checks import check_services, check_sources, check_warehouse, extras, versions
from tallyline.cli.options import example, project_option
from tallyline.cli.progress import console
from tallyline.cli.trials import Check, State
from tallyline.errors import ProjectError, Refused, RunFailed
from tallyline.project import FILE, load_project
from tallyline.window import utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

    from tallyline.project import Project

    Checks = dict[str, list[Check]]

__all__ = ["command"]

_MARKS = {
    State.WORKS: ("✓", "green"),
    State.FAILED: ("✗", "red"),
    State.WRONG: ("✗", "red"),
    State.NOT_TRIED: ("·", "dim"),
}
_STYLES = {State.FAILED: "red", State.WRONG: "red", State.NOT_TRIED: "dim"}
_SHORTEST_LINE = 30


@click.command("doctor", epilog=example("tallyline doctor\ntallyline doctor --seconds 60 --json"))
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=20,
    show_default=True,
    help="How long each check may take.",
)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@project_option
@click.pass_context
def command(context: click.Context, *, seconds: float, as_json: bool, folder: Path) -> None:
    """Try each connection and the permission it needs, and tell the versions.

    Looks at the project, its warehouse, its services and its sources, also after one of them does not work. Nothing is
    written. Without a project, only what is installed is told.
    """
    screen = None if as_json else console()
    told = _Told(screen)
    told.installed = extras()
    project, wrong = None, None
    if (folder / FILE).exists() or context.get_parameter_source("folder") is not ParameterSource.DEFAULT:
        try:
            project = load_project(folder)
        except ProjectError as error:
            wrong = error
    told.begin(project)
    if project is not None:
        _check(project, seconds, told)
    elif wrong is None and screen:
        screen.print(f"\nThere is no project in {folder.resolve()}: only what is installed is told.", markup=False)
    if as_json:
        click.echo(json.dumps(_as_data(told, project, wrong), indent=2, ensure_ascii=False))
    if wrong is not None:
        raise wrong
    _end(told.checks, screen if project else None)


def _check(project: Project, seconds: float, told: _Told) -> None:
    now = utc_now()
    told.take("warehouse", "", check_warehouse(project, seconds))
    told.take("services", "Services", check_services(project, now, seconds))
    services = {check.name: check for check in told.checks["services"]}
    told.take("sources", "Sources", check_sources(project, now, seconds, services))


class _Told:
    """What was found, told on a screen as soon as it is known."""

    def __init__(self, screen: Console | None) -> None:
        self.installed: list[Check] = []
        self.checks: Checks = {}
        self._screen = screen
        self._width = 0

    def begin(self, project: Project | None) -> None:
        """Tell the versions, and of which project the rest is."""
        names = [check.name for check in self.installed]
        names += ["warehouse", *project.services, *project.sources] if project else []
        self._width = max(map(len, names), default=0)
        (name, release), *others = versions().items()
        rest = ", ".join(f"{other} {told}" if other != "system" else told for other, told in others)
        self._print(f"[bold]{name} {release}[/]  [dim]{rest}[/]")
        for check in self.installed:
            self._tell(check)
        if project is not None:
            counts = (("source", project.sources), ("metric", project.plan), ("service", project.services))
            told = ", ".join(f"{len(each):,} {noun}{'' if len(each) == 1 else 's'}" for noun, each in counts)
            where = f"{told}; {project.zone.key}; {project.folder.resolve()}"
            self._print(f"\n[bold]{escape(project.title)}[/]  [dim]{escape(where)}[/]")

    def take(self, what: str, title: str, checks: Iterator[Check]) -> None:
        """Take checks as they end."""
        self.checks[what] = []
        with _waiting(self._screen):
            for check in checks:
                if title and not self.checks[what]:
                    self._print(f"\n[bold]{title}[/]")
                self.checks[what].append(check)
                self._tell(check)

    def _tell(self, check: Check) -> None:
        mark, style = _MARKS[check.state]
        name = f"{check.name:<{self._width}}"
        margin = len(f"  {mark} {name}  ")
        lines = [(line, "") for line in check.works]
        lines += [(line, _STYLES.get(check.state, "")) for line in check.error.splitlines()]
        shown = [(part, how) for line, how in lines for part in _fitting(line, margin, self._screen)]
        text = Text("  ").append(mark, style).append(f" {name}  ")
        for number, (line, how) in enumerate(shown):
            text.append("\n" + " " * margin if number else "").append(line, how)
        self._print(text)

    def _print(self, text: str | Text) -> None:
        if self._screen:
            self._screen.print(text)


def _waiting(screen: Console | None) -> AbstractContextManager[object]:
    return screen.status("[dim]trying …[/]") if screen and screen.is_terminal else nullcontext()


def _fitting(line: str, margin: int, screen: Console | None) -> list[str]:
    room = screen.width - margin if screen and screen.is_terminal else 0
    return [line] if room < _SHORTEST_LINE else textwrap.wrap(line, room, break_on_hyphens=False)


def _end(checks: Checks, screen: Console | None) -> None:
    failed = [check for each in checks.values() for check in each if check.state in {State.FAILED, State.WRONG}]
    if failed:
        if screen:
            screen.print()
        names = ", ".join(check.name for check in failed)
        msg = f"{len(failed)} of {sum(map(len, checks.values()))} checks failed: {names}"
        raise Refused(msg) if all(check.state is State.WRONG for check in failed) else RunFailed(msg)
    if screen:
        screen.print("\nAll is well.", style="green")


def _as_data(told: _Told, project: Project | None, wrong: ProjectError | None) -> dict[str, Any]:
    return {
        "versions": versions(),
        "extras": [asdict(check) for check in told.installed],
        "project": project and {"title": project.title, "folder": str(project.folder.resolve())},
        "problems": [asdict(problem) for problem in wrong.problems] if wrong else [],
        **{what: [asdict(check) for check in checks] for what, checks in told.checks.items()},
    }
