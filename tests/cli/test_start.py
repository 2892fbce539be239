"""What is asked of the command line before there is a project: help and the version, without anything heavy."""

from __future__ import annotations

import shlex
import subprocess
import sys

import click
import pytest

from tallyline import __version__
from tallyline.cli import COMMANDS, cli
from tests.cli.terminal import in_a_process, tallyline

HEAVY = {"sqlalchemy", "pydantic", "httpx2", "starlette", "uvicorn", "jinja2", "rich", "psycopg"}
TELL_MODULES = "print(*sorted({name.partition('.')[0] for name in sys.modules}))"


def imported(program: str) -> set[str]:
    """Run a program in a new Python, and return the packages that it has imported in the end."""
    code = f"import sys\n{program}\n{TELL_MODULES}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], []])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    program = f"""
sys.argv = ["tallyline", *{arguments}]
from tallyline.cli import main
try:
    main()
except SystemExit:
    pass"""
    packages = imported(program)
    assert {"tallyline", "click"} <= packages
    assert packages & HEAVY == set()


def test_what_a_projects_code_imports_is_light() -> None:
    packages = imported("import tallyline\ntallyline.source, tallyline.Graph, tallyline.Window, tallyline.service")
    assert packages & (HEAVY | {"click"}) == set()


def test_the_package_tells_what_it_does_not_have() -> None:
    with pytest.raises(AttributeError, match=r"module 'tallyline' has no attribute 'sauce'"):
        __import__("tallyline").sauce  # noqa: B018


def test_the_version_is_told() -> None:
    assert in_a_process("--version").out == f"tallyline, version {__version__}\n"


def test_help_lists_every_command() -> None:
    answer = tallyline("--help")
    assert answer.status == 0
    for name, summary in COMMANDS.items():
        assert f"  {name}" in answer.out
        assert summary in answer.out


def test_help_comes_by_its_short_name_too() -> None:
    assert tallyline("-h").out == tallyline("--help").out


def test_an_unknown_command_is_refused_with_the_near_one() -> None:
    answer = tallyline("raed")
    assert answer.status == 2
    assert 'there is no command "raed"; did you mean "read"?' in answer.err


def test_what_lists_commands_finds_them_all() -> None:
    context = click.Context(cli)
    assert cli.list_commands(context) == list(COMMANDS)
    assert cli.get_command(context, "raed") is None


def test_an_unknown_option_is_refused() -> None:
    answer = tallyline("read", "all", "--wirte")
    assert answer.status == 2
    assert "No such option '--wirte'" in answer.err
    assert "--write" in answer.err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example_that_can_be_typed(name: str) -> None:
    answer = tallyline(name, "--help")
    assert answer.status == 0
    _, _, example = answer.out.partition("Example:\n")
    typed = [shlex.split(line) for line in example.splitlines() if line.strip().startswith("tallyline ")]
    assert any(words[1] == name for words in typed)
    for _, command, *arguments in typed:
        parsed_by(command).make_context(command, arguments)


def parsed_by(name: str) -> click.Command:
    """Return the command of that name."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_begins_with_the_line_that_lists_it(name: str) -> None:
    told = parsed_by(name).get_short_help_str(limit=1000)
    assert told
    assert not told.endswith("...")
