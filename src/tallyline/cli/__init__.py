"""The command line: one module a command, imported when the command is used."""

from __future__ import annotations

import signal
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING

import click

from tallyline import __version__
from tallyline.cli.options import example
from tallyline.errors import Refused, TallylineError, what_exists
from tallyline.secret import masked

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["COMMANDS", "cli", "main"]

COMMANDS = {
    "demo": "A working company in one command: data, runs, page.",
    "init": "Make a new project that runs as it stands.",
    "read": "Read sources, and with --write publish what they give.",
    "record": "Keep what a source is answered, for tests that replay it.",
    "inspect": "Draw what a source does.",
    "show": "Show a metric as a chart in the terminal, as JSON or as CSV.",
    "why": "Tell where a number came from, and how it changed.",
    "doctor": "Try each connection and the permission it needs.",
    "status": "Tell up to when sources were read, and what was not.",
    "clean": "Remove what was kept long enough.",
    "grant": "Let a role of PostgreSQL read the views, for dashboards.",
    "up": "Serve the page, and read what is due.",
    "grafana": "Show the dashboards in Grafana: by files, or pushed to a server.",
    "airflow": "Let Airflow run the project: a DAG a source.",
}
FAILED = 1
REFUSED = 2


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"tallyline.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            ctx.fail(f'there is no command "{args[0]}"; {what_exists(args[0], COMMANDS)}')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands,
    epilog=example("tallyline demo\ntallyline init my-company"),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="tallyline")
def cli() -> None:
    """Business dashboards as code."""


def main() -> None:
    """Run the command line. Exits with 0 done, 1 the run failed, 2 the input or the configuration is wrong."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except TallylineError as error:
        click.secho(f"error: {masked(str(error))}", err=True, fg="red")
        sys.exit(REFUSED if isinstance(error, Refused) else FAILED)
    except (KeyboardInterrupt, click.Abort):
        click.secho("interrupted: nothing of what was under way was written", err=True, fg="red")
        sys.exit(FAILED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(FAILED)
    except OSError as error:
        click.secho(f"error: {masked(str(error))}", err=True, fg="red")
        sys.exit(FAILED)
    except Exception:  # noqa: BLE001  # a fault of ours, or of a project's code: no secret is shown with it
        click.echo(masked(traceback.format_exc()), err=True, nl=False)
        sys.exit(FAILED)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
