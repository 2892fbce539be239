"""Every key of a TOML file is found at its line, whatever the file looks like."""

from __future__ import annotations

import tomllib
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallyline.project.places import Places


def place(toml: str, *path: str | int) -> str:
    """Return where a key of a file stands, without the file's name; the file is TOML, as it is when it is asked."""
    text = dedent(toml)
    tomllib.loads(text)
    return Places(text, "t").of(path).removeprefix("t:")


def test_a_key_at_the_top() -> None:
    assert place('title = "a"\nstart = 1\n', "start") == "2 start"


def test_a_key_of_a_table() -> None:
    assert place("[a]\nx = 1\n[b]\nx = 2\n", "b", "x") == "4 b.x"


def test_a_table() -> None:
    assert place("[a]\n\n[b.c]\n", "b", "c") == "3 b.c"


def test_the_table_around_a_table_stands_where_it_first_does() -> None:
    assert place("[a]\n\n[b.c]\n[b.d]\n", "b") == "3 b"


def test_a_key_that_is_missing_stands_where_its_table_does() -> None:
    assert place("[a]\nx = 1\n[b]\ny = 2\n", "b", "x") == "3 b.x"


def test_a_key_within_a_value_stands_where_the_value_does() -> None:
    assert place("[a]\nx = { y = { z = 1 } }\n", "a", "x", "y", "z") == "2 a.x.y.z"


def test_what_is_nowhere_has_no_line() -> None:
    assert place("[a]\n", "b", "x") == "t b.x"
    assert place("", "b") == "t b"


def test_the_file_itself_is_told_by_its_name_alone() -> None:
    assert place("[a]\n") == "t"


@pytest.mark.parametrize("header", ["[a.b]", "[ a . b ]", "  [a.b]  # comment", '["a"."b"]', "['a'.b]"])
def test_a_header_is_read_in_any_form(header: str) -> None:
    assert place(f"x = 1\n{header}\ny = 2\n", "a", "b", "y") == "3 a.b.y"


@pytest.mark.parametrize("key", ['"users.new"', "'users.new'", '"users\\u002enew"', '"users.new" '])
def test_a_quoted_key_is_one_name(key: str) -> None:
    assert place(f"[metrics]\n{key} = 1\n", "metrics", "users.new") == '2 metrics."users.new"'


@pytest.mark.parametrize("header", ['[metrics."users.new"]', "[ metrics.'users.new' ] # [x]"])
def test_a_quoted_name_of_a_table_is_one_name(header: str) -> None:
    assert place(f"{header}\nkind = 1\n", "metrics", "users.new", "kind") == '2 metrics."users.new".kind'


def test_a_name_may_look_like_anything_in_quotes() -> None:
    assert place('x = 1\n["a] # b".c]\n"d\\"e = f" = 1\n', "a] # b", "c", 'd"e = f') == '3 a] # b.c.d"e = f'


@pytest.mark.parametrize("key", ["a.b.c", "a . b . c", '"a".b.c', "a.'b'.c"])
def test_a_dotted_key_is_found_by_all_its_names(key: str) -> None:
    assert place(f"x = 1\n{key} = 2\n", "a", "b", "c") == "2 a.b.c"
    assert place(f"x = 1\n{key} = 2\n", "a", "b") == "2 a.b"
    assert place(f"[t]\n{key} = 2\n", "t", "a", "b", "c") == "2 t.a.b.c"


LOOK_ALIKES = """
    [sources.a]
    query = {open}
    [sources.b]
    kind = "not a key"
    -- "{{[
    {close}
    kind = "sql"
    [sources.b]
    kind = "sql"
"""


@pytest.mark.parametrize("quotes", ['"""', "'''"])
def test_lines_of_a_long_text_are_no_keys(quotes: str) -> None:
    toml = LOOK_ALIKES.format(open=quotes, close=quotes)
    assert place(toml, "sources", "a", "kind") == "8 sources.a.kind"
    assert place(toml, "sources", "b") == "9 sources.b"
    assert place(toml, "sources", "b", "kind") == "10 sources.b.kind"


@pytest.mark.parametrize(
    "text",
    [
        "'''SELECT \"\"\"\nx = 1\n'''",
        '"""SELECT \'\'\'\nx = 1\n"""',
        '"""one line"""',
        "'''one line'''",
        '"" # """',
        "'' # '''",
        "\"'''\"",
        '\'"""\'',
        '"\\"\\"\\""',
        '"""\\"""\nx = 1\n"""',
        '"""\n"quoted" ""\nx = 1\n"quoted"""""',
        '"""ends with a quote""""',
        '"""\nx = 1 \\\n  """',
        "'''\\'''",
        '"a # comment"',
        '"[" # [',
        '["]", "#"]',
    ],
)
def test_a_text_ends_where_toml_ends_it(text: str) -> None:
    toml = f"[a]\nquery = {text}\nx = 2\n[b]\nx = 3\n"
    assert tomllib.loads(toml)["a"].keys() == {"query", "x"}
    after = toml.count("\n") - 2
    assert place(toml, "a", "x") == f"{after} a.x"
    assert place(toml, "b", "x") == f"{after + 2} b.x"


def test_items_of_an_array_are_no_headers() -> None:
    toml = """\
        [a]
        x = [
            ["b"],
            ["c"]
        ]
        y = 1
    """
    assert place(toml, "a", "y") == "6 a.y"
    assert place(toml, "b") == "t b"


PANELS = """\
    [dashboards.sales]
    title = "Sales"
    panels = [ # { not a panel }
        { metric = "a", by = "week" },

        # { metric = "none" },
        { metric = "}, {", parts = [{ a = 1 }, { a = 2 }] }, { metric = "c" },
        { metric = "d" },
    ]
    other = 1
"""


@pytest.mark.parametrize(("number", "line"), [(0, 4), (1, 7), (2, 7), (3, 8), (4, 3)])
def test_a_table_within_an_array_is_found_by_its_number(number: int, line: int) -> None:
    path = f"dashboards.sales.panels.{number}.metric"
    assert place(PANELS, "dashboards", "sales", "panels", number, "metric") == f"{line} {path}"


def test_an_array_ends_where_it_ends() -> None:
    assert place(PANELS, "dashboards", "sales", "other") == "10 dashboards.sales.other"


ARRAYS = """\
    [[dashboards.sales.panels]]
    metric = "a"
    [[dashboards.sales.panels]]
    by = "week"
    metric = "b"
    [dashboards.sales.panels.style]
    colour = "red"
    [[dashboards.quality.panels]]
    metric = "c"
    [[dashboards.sales.panels]]
    metric = "d"
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("sales", "panels"), 1),
        (("sales", "panels", 0), 1),
        (("sales", "panels", 0, "metric"), 2),
        (("sales", "panels", 1), 3),
        (("sales", "panels", 1, "metric"), 5),
        (("sales", "panels", 1, "style", "colour"), 7),
        (("sales", "panels", 2, "metric"), 11),
        (("sales", "panels", 2, "by"), 10),
        (("quality", "panels", 0, "metric"), 9),
    ],
)
def test_an_array_of_tables_is_found_by_its_numbers(path: tuple[str | int, ...], line: int) -> None:
    assert place(ARRAYS, "dashboards", *path).split()[0] == str(line)


def test_an_array_of_tables_within_one_is_found_by_both_numbers() -> None:
    toml = "[[a]]\n[[a.b]]\nx = 1\n[[a]]\n[[a.b]]\nx = 2\n[[a.b]]\nx = 3\n"
    assert [place(toml, "a", 0, "b", 0, "x"), place(toml, "a", 1, "b", 1, "x")] == ["3 a.0.b.0.x", "8 a.1.b.1.x"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_are_counted_as_editors_do(end: str) -> None:
    text = f'a = "x\u2028y\x85z"{end}b = 1{end}'
    assert Places(text, "t").of(["b"]) == "t:2 b"


NAMES = st.text("ab.é #'[", min_size=1, max_size=4)
VALUES = st.sampled_from(["1", '"x"', "'''\n[a]\nb = 1\n'''", "[\n[1],\n[2]\n]", "{ b = 1 }", '"""\\"""" # """'])


@settings(deadline=None)
@given(st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=3), max_size=3))
def test_every_key_of_every_file_is_found(tables: dict[str, dict[str, str]]) -> None:
    lines: list[str] = []
    stands: dict[tuple[str, ...], int] = {}
    for table, keys in tables.items():
        stands[table,] = len(lines) + 1
        lines.append(f'["{table}"]')
        for key, value in keys.items():
            stands[table, key] = len(lines) + 1
            lines.extend(f'"{key}" = {value}'.split("\n"))
    text = "\n".join(lines)
    assert tomllib.loads(text).keys() == tables.keys()
    places = Places(text, "t")
    assert {path: int(places.of(path).split()[0].removeprefix("t:")) for path in stands} == stands
