"""A project's own code: its sources and services, and what is wrong with it, at its line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tallyline.graph import run
from tallyline.project import Project, load_project
from tests.project.conftest import mistakes

if TYPE_CHECKING:
    from pathlib import Path

    from tests.project.conftest import Write


def rows_of(project: Project, source: str, **services: object) -> list[object]:
    """Read a source of a project as a run does."""
    rows: list[object] = []
    run(project.source(source).graph().followed_by(rows.append), {**project.services, **services})
    return rows


USERS = """\
    from tallyline import source

    @source(schedule="@daily")
    def users():
        yield "a user"
"""


def test_sources_py_declares_sources(write: Write) -> None:
    project = load_project(write(files={"sources.py": USERS}))
    assert list(project.sources) == ["users"]
    assert project.source("users").options.schedule == "@daily"
    assert rows_of(project, "users") == ["a user"]


def test_a_folder_of_sources_declares_those_of_all_its_files(write: Write) -> None:
    files = {
        "sources/a.py": USERS,
        "sources/b.py": USERS.replace("user", "order"),
        "sources/notes.txt": "not code",
        "sources/__init__.py": USERS.replace("user", "visit"),
    }
    project = load_project(write(files=files))
    assert sorted(project.sources) == ["orders", "users", "visits"]
    assert [rows_of(project, name) for name in ("orders", "visits")] == [["a order"], ["a visit"]]


def test_code_declares_services(write: Write) -> None:
    code = """\
        from tallyline import service, source

        @service
        def greeting(name):
            return f"hello {name}"

        @source
        def users(greeting):
            return [greeting]
    """
    project = load_project(write(files={"sources.py": code}))
    assert list(project.services) == ["greeting"]
    assert rows_of(project, "users", name="you") == ["hello you"]


def test_a_source_of_the_file_may_read_a_service_of_the_code(write: Write) -> None:
    toml = '[sources.orders]\nkind = "sql"\nservice = "shop"\nquery = "SELECT 1"\n'
    code = "from tallyline import service\n\n@service\ndef shop():\n    return 1\n"
    assert list(load_project(write(toml, {"sources.py": code})).sources) == ["orders"]


def test_the_start_of_the_project_is_that_of_a_source_without_one(write: Write) -> None:
    project = load_project(write("[project]\nstart = 2026-01-01\n", {"sources.py": USERS}))
    assert str(project.source("users").options.start) == "2026-01-01"


NEIGHBOURS = {
    "helpers.py": "WHO = 'a helper'\n",
    "lib/__init__.py": "",
    "lib/more.py": "WHO = 'a library'\n",
    "sources/a.py": """\
        from helpers import WHO
        from lib.more import WHO as OTHER
        from tallyline import source

        @source
        def users():
            return [WHO, OTHER]
    """,
    "sources/b.py": """\
        from tallyline import source
        from sources import a
        from .a import users

        @source
        def guests():
            return ["a guest", *users()]
    """,
}


def test_code_may_import_its_neighbours(write: Write) -> None:
    project = load_project(write(files=NEIGHBOURS))
    assert sorted(project.sources) == ["guests", "users"]
    assert rows_of(project, "guests") == ["a guest", "a helper", "a library"]


def test_two_projects_in_one_process_do_not_disturb_each_other(write: Write) -> None:
    others = {
        path: text.replace("a helper", "another").replace("a library", "a shelf") for path, text in NEIGHBOURS.items()
    }
    first, second = load_project(write(files=NEIGHBOURS)), load_project(write(files=others, name="other"))
    again = load_project(first.folder)
    assert rows_of(second, "users") == ["another", "a shelf"]
    assert rows_of(first, "users") == rows_of(again, "users") == ["a helper", "a library"]


def test_code_that_has_changed_is_read_anew(write: Write) -> None:
    files = {
        "helpers.py": "WHO = 'one'\n",
        "sources.py": NEIGHBOURS["sources/a.py"].replace("from lib.more", "from helpers"),
    }
    before = load_project(write(files=files))
    after = load_project(write(files={**files, "helpers.py": "WHO = 'another'\n"}))
    assert rows_of(before, "users") == ["one", "one"]
    assert rows_of(after, "users") == ["another", "another"]


def test_loading_leaves_the_import_system_as_it_was(write: Write) -> None:
    path, modules = list(sys.path), set(sys.modules)
    load_project(write(files=NEIGHBOURS))
    assert sys.path == path
    assert {
        name for name in set(sys.modules) - modules if name.partition(".")[0] in {"sources", "helpers", "lib"}
    } == set()


def test_a_module_of_the_process_with_the_same_name_is_left_alone(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = type(sys)("sources")
    monkeypatch.setitem(sys.modules, "sources", own)
    assert list(load_project(write(files={"sources.py": USERS})).sources) == ["users"]
    assert sys.modules["sources"] is own


def test_dataclasses_and_annotations_work_as_anywhere(write: Write) -> None:
    code = """\
        from __future__ import annotations

        from dataclasses import dataclass, field

        from tallyline import Graph, source

        @dataclass
        class Reader:
            rows: list[str] = field(default_factory=lambda: ["a row"])

            def __call__(self) -> list[str]:
                return self.rows

        @source
        def users() -> Graph:
            return Graph(Reader())
    """
    assert rows_of(load_project(write(files={"sources.py": code})), "users") == ["a row"]


@pytest.mark.parametrize(
    ("code", "mistake"),
    [
        ("x = 1\ny = x / 0\n", "sources.py:2: ZeroDivisionError: division by zero"),
        ("x = 1\n\nimport no_such_module\n", "sources.py:3: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def f():\n    raise OSError('gone')\n\nf()\n", "sources.py:2: OSError: gone"),
        ("import sys\nsys.exit('no')\n", "sources.py:2: SystemExit: no"),
        ("import json\njson.loads('{')\n", "sources.py:2: JSONDecodeError: "),
        ("x = (\n", "sources.py:1: SyntaxError: '(' was never closed (sources.py, line 1)"),
        ("x = 1\n  y = 2\n", "sources.py:2: IndentationError: unexpected indent (sources.py, line 2)"),
        (
            "from tallyline import source\n\n@source(schedule='daily')\ndef users(): ...\n",
            'sources.py:3: "daily" is no schedule; there are @hourly',
        ),
        (
            "from tallyline import source\n\n@source(timezone='Pariss')\ndef users(): ...\n",
            'sources.py:3: there is no time zone "Pariss"',
        ),
    ],
)
def test_code_that_cannot_be_imported_is_told_with_its_line(write: Write, code: str, mistake: str) -> None:
    (told,) = mistakes(write(files={"sources.py": code}))
    assert told.startswith(mistake)


@pytest.mark.parametrize(
    ("helper", "mistake"),
    [
        ("x = 1\ny = x / 0\n", "lib/helper.py:2: ZeroDivisionError: division by zero"),
        ("x = 1\ny = (\n", "lib/helper.py:2: SyntaxError: '(' was never closed (helper.py, line 2)"),
    ],
)
def test_a_mistake_in_a_neighbour_is_told_with_the_neighbours_line(write: Write, helper: str, mistake: str) -> None:
    files = {"lib/helper.py": helper, "sources.py": "import sys\nimport os\nimport lib.helper\n"}
    assert mistakes(write(files=files)) == [mistake]


def test_a_mistake_in_an_installed_package_is_told_with_the_projects_line(write: Write) -> None:
    files = {
        ".venv/lib/python3/site-packages/installed_for_the_shop.py": "\n\n\nraise OSError('gone')\n",
        "sources.py": (
            "import sys\n"
            "sys.path.insert(0, __file__.replace('sources.py', '.venv/lib/python3/site-packages'))\n"
            "try:\n"
            "    import installed_for_the_shop\n"
            "finally:\n"
            "    sys.path.pop(0)\n"
        ),
    }
    assert mistakes(write(files=files)) == ["sources.py:4: OSError: gone"]


SECTIONS = "dashboards, metrics, project, retention, services, sources"


def test_one_broken_file_does_not_hide_another(write: Write) -> None:
    files = {"sources/a.py": "1 / 0\n", "sources/b.py": "x = (\n", "sources/c.py": USERS}
    assert mistakes(write("titel = 1\n", files)) == [
        f'tallyline.toml:1 titel: there is no key "titel"; there are: {SECTIONS}',
        "sources/a.py:1: ZeroDivisionError: division by zero",
        "sources/b.py:1: SyntaxError: '(' was never closed (b.py, line 1)",
    ]


def test_a_source_in_the_file_and_in_code_is_told(write: Write) -> None:
    toml = """\
        [services]
        shop = "sqlite:///shop.db"

        [sources.users]
        kind = "sql"
        service = "shop"
        query = "SELECT 1"
    """
    assert mistakes(write(toml, {"sources.py": USERS})) == [
        "tallyline.toml:4 sources.users: two sources have this name, and one of them is in code"
    ]


def test_two_sources_of_one_name_in_code_are_told(write: Write) -> None:
    files = {"sources.py": f"{USERS}\n    @source(name='users')\n    def people():\n        yield 1\n"}
    assert mistakes(write(files=files)) == [
        "tallyline.toml sources.users: two sources have this name, and one of them is in code"
    ]


def test_two_sources_of_one_name_in_two_files_are_told(write: Write) -> None:
    files = {"sources/a.py": USERS, "sources/b.py": USERS}
    assert mistakes(write(files=files)) == ['sources/b.py: "users" is declared in another file of the project, too']


def test_a_service_in_the_file_and_in_code_is_told(write: Write) -> None:
    code = "from tallyline import service\n\n@service\ndef shop():\n    return 1\n"
    assert mistakes(write('[services]\nshop = "sqlite:///shop.db"\n', {"sources.py": code})) == [
        "tallyline.toml:2 services.shop: two services have this name, and one of them is in code"
    ]


@pytest.mark.parametrize("name", ["window", "now", "zone", "source_zone", "grain"])
def test_a_service_in_code_cannot_have_the_name_of_what_every_source_is_given(write: Write, name: str) -> None:
    code = f"from tallyline import service\n\n@service\ndef {name}():\n    return 1\n"
    assert mistakes(write(files={"sources.py": code})) == [
        f'tallyline.toml services.{name}: every source is given "{name}" already; choose another name'
    ]


def test_a_name_that_cannot_be_typed_is_told(write: Write) -> None:
    code = "from tallyline import source\n\nusers = source(lambda: [1])\n"
    (mistake,) = mistakes(write(files={"sources.py": code}))
    assert mistake == (
        'tallyline.toml sources.<lambda>: "<lambda>" cannot be a source\'s name; '
        'use lower case letters, digits, _ and -, and not "all"'
    )


def test_another_name_for_the_same_source_is_no_second_one(write: Write) -> None:
    assert list(load_project(write(files={"sources.py": f"{USERS}\n    again = users\n"})).sources) == ["users"]


def test_both_a_file_and_a_folder_of_sources_is_one_too_many(write: Write) -> None:
    assert mistakes(write(files={"sources.py": USERS, "sources/a.py": USERS})) == [
        "sources.py: there is a folder sources/ with code, too; keep one of them"
    ]


def test_a_folder_of_sources_without_code_may_stand_beside_the_file(write: Write) -> None:
    project = load_project(write(files={"sources.py": USERS, "sources/users.sql": "SELECT 1"}))
    assert list(project.sources) == ["users"]


def test_a_password_in_the_message_of_code_is_not_told(write: Write) -> None:
    code = "raise OSError('cannot connect to postgresql://reader:hunter2@db/shop')\n"
    assert mistakes(write(files={"sources.py": code})) == [
        "sources.py:1: OSError: cannot connect to postgresql://reader:***@db/shop"
    ]


def test_a_project_may_be_reached_by_a_link(write: Write, tmp_path: Path) -> None:
    write(files=NEIGHBOURS)
    (tmp_path / "link").symlink_to("shop")
    project = load_project(tmp_path / "link")
    assert project.folder == tmp_path / "link"
    assert rows_of(project, "users") == ["a helper", "a library"]
