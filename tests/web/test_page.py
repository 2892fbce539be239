"""The page in a real browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, Locator

    Opened = Callable[..., Page]

pytestmark = pytest.mark.browser

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PANELS = 8
MINUS = "\N{MINUS SIGN}"
INK = """canvas => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
  copy.drawImage(canvas, 0, 0);
  const {data} = copy.getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Map();
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3] < 200) continue;
    const colour = data.slice(at, at + 3).join();
    colours.set(colour, (colours.get(colour) ?? 0) + 1);
  }
  return Object.fromEntries(colours);
}"""


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Browser, company_url: str) -> Iterator[Opened]:
    """Open an address of the page; whatever the browser complains of or asks elsewhere fails the test."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def note(complaint: str, but: str) -> None:
        if not but or but not in complaint:
            complaints.append(complaint)

    def opened(
        address: str = "dashboards/overview",
        *,
        awaits: str = "main[aria-busy=false]",
        but: str = "",
        without: str = "",
        **options: Any,  # noqa: ANN401  # those of the browser
    ) -> Page:
        options = {"viewport": {"width": 1280, "height": 900}, "timezone_id": "America/New_York"} | options
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: note(f"{message.type}: {message.text}", but))
        page.on("pageerror", lambda error: note(str(error), but))
        page.on("request", lambda request: note(f"asked {request.url}", f"asked {company_url}"))
        if without:
            page.route(without, lambda route: route.abort())
        page.goto(f"{company_url}{address}")
        page.locator(awaits).wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def ink(page: Page, panel: int = 1) -> dict[str, int]:
    """Count the opaque pixels of each colour in a panel's chart."""
    counted: dict[str, int] = page.locator(f"#panel-{panel} canvas").evaluate(INK)
    return counted


def unfold(page: Page, panel: int) -> None:
    """Unfold the figures of a panel, and wait until they are there."""
    page.locator(f"#panel-{panel} summary").click()
    expect(page.locator(f"#panel-{panel} details table")).to_be_visible()


def line_colour(page: Page, line: int = 1) -> str:
    """The colour of a line as `ink` names it."""
    return variable(page, f"--line-{line}")


def variable(page: Page, name: str) -> str:
    """Return a colour of the style sheet as `ink` names it."""
    colour: str = page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('{name}').trim()")
    return ",".join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))


def colour_of(place: Locator) -> str:
    """Return the colour of a text as `ink` names it."""
    colour: str = place.evaluate("place => getComputedStyle(place).color")
    return ",".join(re.findall(r"\d+", colour))


def numbers(page: Page, panel: int) -> list[str]:
    """Return the lines of text that tell a panel's number."""
    return page.locator(f"#panel-{panel} .numbers p").all_inner_texts()


def test_every_panel_with_data_is_drawn_and_the_other_says_why(opened: Opened) -> None:
    page = opened()
    assert page.locator(".panel canvas").count() == PANELS - 1
    for panel in range(1, PANELS):
        assert ink(page, panel)[line_colour(page)] > 100
    expect(page.locator("#panel-8")).to_contain_text("Nothing has been read for churn yet.")
    expect(page.locator("#panel-8 code")).to_have_text("tallyline read all --write")


def test_a_panel_tells_the_last_complete_day_and_its_change(opened: Opened) -> None:
    page = opened()
    assert numbers(page, 3) == ["$2,302", "Sun 22 Nov", "+5.3% vs Sun 15 Nov"]
    assert numbers(page, 7)[1:] == ["Tue 17 Nov", f"{MINUS}5.6% vs Tue 10 Nov"]
    assert numbers(page, 8) == []


def test_a_panel_tells_how_old_its_data_is_and_what_is_late_stands_out(opened: Opened) -> None:
    page = opened()
    fresh, late = (page.locator(f"#panel-{panel} .age") for panel in (3, 7))
    assert (fresh.inner_text(), late.inner_text()) == ("just read", "5 days old")
    assert late.get_attribute("title") == "read up to Wed 18 Nov, 00:00, from analytics"
    grounds = [each.evaluate("each => getComputedStyle(each).backgroundColor") for each in (fresh, late)]
    assert grounds[0] != grounds[1]


def test_the_freshness_names_the_source_that_failed(opened: Opened) -> None:
    page = opened()
    expect(page.locator("#freshness")).to_contain_text("last read Mon 23 Nov, 14:20")
    page.get_by_role("link", name="the last run of analytics failed").click()
    expect(page.locator("pre")).to_have_text("ga4 failed: 403 <b>no access</b>")


def test_a_range_is_chosen_kept_in_the_address_and_taken_back(opened: Opened) -> None:
    page = opened()
    page.get_by_role("link", name="the last 365 days").click()
    expect(page.get_by_label("from")).to_have_value("2025-11-24")
    assert page.url.endswith("?last=365d")
    assert page.get_by_role("link", name="the last 365 days").get_attribute("aria-current") == "true"
    page.get_by_label("by", exact=True).select_option("month")
    expect(page.locator("#panel-1 .measure")).to_contain_text("users by month")
    assert page.url.endswith("?last=365d&by=month")
    assert numbers(page, 1)[1] == "Oct 2026"
    page.go_back()
    expect(page.locator("#panel-1 .measure")).to_contain_text("users by day")
    page.go_back()
    expect(page.get_by_label("from")).to_have_value("2026-10-25")


def test_the_address_says_what_is_shown(opened: Opened) -> None:
    page = opened("dashboards/overview?since=2026-03-01&until=2026-04-01&by=week")
    expect(page.get_by_label("from")).to_have_value("2026-03-01")
    expect(page.get_by_label("to", exact=True)).to_have_value("2026-03-31")
    expect(page.get_by_label("by", exact=True)).to_have_value("week")
    growth = page.get_by_role("link", name="Growth <b>")
    expect(growth).to_have_attribute("href", re.compile(r"/growth\?since=2026-03-01&until=2026-04-01&by=week$"))


def test_dates_are_chosen_with_the_last_day_included(opened: Opened) -> None:
    page = opened()
    page.get_by_label("from").fill("2026-10-20")
    page.get_by_label("to", exact=True).fill("2026-10-31")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#panel-1 .at")).to_contain_text("Sat 31 Oct")
    assert page.url.endswith("?since=2026-10-20&until=2026-11-01")


def test_drawing_over_a_chart_chooses_its_buckets(opened: Opened) -> None:
    page = opened("dashboards/overview?since=2026-11-01&until=2026-11-11")
    box = page.locator("#panel-1 .u-over").bounding_box()
    assert box
    day = box["width"] / 9
    page.mouse.move(box["x"] + 2.2 * day, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 4.9 * day, box["y"] + 60, steps=4)
    page.mouse.up()
    expect(page.get_by_label("from")).to_have_value("2026-11-03")
    assert page.url.endswith("?since=2026-11-03&until=2026-11-07")


def test_the_legend_tells_the_values_under_the_cursor_of_any_chart(opened: Opened) -> None:
    page = opened("dashboards/overview?since=2026-11-01&until=2026-11-11")
    expect(page.locator("#panel-2 .at")).to_contain_text("Tue 10 Nov")
    page.locator("#panel-1 .u-over").hover(position={"x": 1, "y": 40})
    expect(page.locator("#panel-1 .at")).to_contain_text("Sun 1 Nov")
    parts = [int(text) for text in page.locator("#panel-2 .legend button .amount").all_inner_texts()]
    expect(page.locator("#panel-2 .at")).to_have_text(f"Sun 1 Nov{sum(parts)}\u00a0users")
    assert page.locator("#panel-1 .amount").inner_text() == f"{sum(parts)}\u00a0users"
    page.mouse.move(0, 0)
    expect(page.locator("#panel-2 .at")).to_contain_text("Tue 10 Nov")


def test_the_running_day_is_dashed_and_called_so_far(opened: Opened) -> None:
    page = opened("dashboards/overview?last=7d")
    plot = page.locator("#panel-1 .u-over")
    box = plot.bounding_box()
    assert box
    plot.hover(position={"x": box["width"] - 2, "y": 40})
    expect(page.locator("#panel-1 .at")).to_contain_text("Mon 23 Nov so far")


def test_a_line_can_be_hidden_and_stays_hidden_when_the_range_changes(opened: Opened) -> None:
    page = opened()
    first = page.locator("#panel-2 .legend button").first
    before = ink(page, 2)[line_colour(page)]
    first.click()
    expect(first).to_have_attribute("aria-pressed", "false")
    page.wait_for_function("document.querySelector('#panel-2 canvas') !== null")
    assert ink(page, 2).get(line_colour(page), 0) < before / 10
    page.get_by_role("link", name="the last 90 days").click()
    expect(page.get_by_label("from")).to_have_value("2026-08-26")
    expect(first).to_have_attribute("aria-pressed", "false")


def test_pointing_at_a_name_brings_its_line_out(opened: Opened) -> None:
    page = opened()
    first, second = (line_colour(page, line) for line in (1, 2))
    before = ink(page, 2)
    page.locator("#panel-2 .legend button").nth(1).hover()
    during = ink(page, 2)
    assert during.get(first, 0) < before[first] / 10
    assert during[second] >= before[second]
    page.mouse.move(0, 0)
    assert ink(page, 2) == before


def test_twelve_countries_are_nine_lines(opened: Opened) -> None:
    page = opened()
    labels = page.locator("#panel-2 .legend .label").all_inner_texts()
    assert len(labels) == 9
    assert (labels[0], labels[-1]) == ("US", "other (4)")


def test_the_figures_are_a_table_too(opened: Opened) -> None:
    page = opened()
    unfold(page, 3)
    newest = page.locator("#panel-3 tbody tr")
    expect(newest).to_have_count(30)
    assert newest.nth(0).locator("th").inner_text() == "Mon 23 Nov so far"
    assert newest.nth(1).locator("td").inner_text() == "2,301.54"


def test_a_range_of_one_day_is_a_point(opened: Opened) -> None:
    page = opened("dashboards/overview?since=2026-11-10&until=2026-11-11")
    assert ink(page, 1)[line_colour(page)] > 10
    expect(page.locator("#panel-1 .at")).to_have_text("Tue 10 Nov302\u00a0users")


def test_a_gap_is_a_gap(opened: Opened) -> None:
    page = opened("dashboards/overview?since=2025-12-15&until=2026-01-25")
    unfold(page, 5)
    assert page.locator("#panel-5 td").all_inner_texts().count("\N{EN DASH}") == 12


def test_dark_is_another_palette_and_charts_follow_at_once(opened: Opened) -> None:
    page = opened(color_scheme="light")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light, light_line = page.evaluate(ground), line_colour(page)
    assert light_line in ink(page)
    page.emulate_media(color_scheme="dark")
    expect(page.locator("#panel-1 canvas")).to_be_visible()
    assert page.evaluate(ground) != light
    assert line_colour(page) != light_line
    assert ink(page)[line_colour(page)] > 100
    assert light_line not in ink(page)


@pytest.mark.parametrize(
    "address",
    [
        "dashboards/overview",
        "dashboards/overview?last=730d&by=month",
        "dashboards/goals",
        "dashboards/pipeline",
        "runs",
    ],
)
def test_a_telephone_is_wide_enough(opened: Opened, address: str) -> None:
    page = opened(
        address, awaits="main" if address == "runs" else "main[aria-busy=false]", viewport={"width": 390, "height": 844}
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_chart_follows_the_width_of_the_window(opened: Opened) -> None:
    page = opened()
    page.set_viewport_size({"width": 500, "height": 800})
    page.wait_for_function("document.querySelector('#panel-1 .uplot').offsetWidth < 480")
    assert page.evaluate("document.documentElement.scrollWidth") <= 500


def test_charts_are_described_and_everything_can_be_reached_by_keyboard(opened: Opened) -> None:
    page = opened()
    described = page.get_by_role("img", name="Line chart of Revenue in USD by day, Sun 25 Oct to Mon 23 Nov")
    assert described.count() == 1
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.tagName"))
    assert {"A", "INPUT", "BUTTON", "SELECT", "SUMMARY"} <= reached


def test_a_target_is_dashed_and_told_in_words_and_colour(opened: Opened) -> None:
    page = opened("dashboards/goals")
    assert numbers(page, 1)[-1] == "101 below target 250"
    assert numbers(page, 2)[-1] == "$102 above target $2,200"
    missed, reached = (page.locator(f"#panel-{panel} .against") for panel in (1, 2))
    assert colour_of(missed) == variable(page, "--missed")
    assert colour_of(reached) == variable(page, "--reached")
    assert colour_of(page.locator("#panel-1 .change")) == variable(page, "--muted")
    drawn, whole = ink(page, 1)[variable(page, "--target")], page.locator("#panel-1 .u-over").bounding_box()
    assert whole
    assert whole["width"] * 0.8 < drawn < whole["width"] * 1.4  # two pixels high, and seven of twelve long
    expect(page.locator("#panel-1 .at")).to_contain_text("target250\u00a0users")
    assert page.locator("#panel-2 .spark .target").count() == 1


def test_a_target_is_for_the_panels_own_grain_and_for_all_parts_together(opened: Opened) -> None:
    page = opened("dashboards/goals")
    assert numbers(page, 7)[-1] == "101 below target 250"
    assert variable(page, "--target") not in ink(page, 7)
    page.get_by_label("by", exact=True).select_option("week")
    expect(page.locator("#panel-1 .measure")).to_contain_text("users by week")
    assert page.locator(".against").count() == 0
    assert variable(page, "--target") not in ink(page, 1)


def test_the_period_before_is_gray_and_told_beside_each_value(opened: Opened) -> None:
    page = opened("dashboards/goals?since=2026-11-01&until=2026-11-11")
    assert ink(page, 1)[variable(page, "--before")] > 100
    unfold(page, 1)
    expect(page.locator("#panel-1 thead th")).to_have_text(["", "New users", "a week before"])
    rows = [row.locator("td").all_inner_texts() for row in page.locator("#panel-1 tbody tr").all()]
    assert [before for _, before in rows[:3]] == [value for value, _ in rows[7:]]
    expect(page.locator("#panel-1 .at")).to_contain_text(f"a week before{rows[0][1]}\u00a0users")
    page.locator("#panel-1 .u-over").hover(position={"x": 1, "y": 40})
    expect(page.locator("#panel-1 .at")).to_contain_text(f"a week before{rows[-1][1]}\u00a0users")
    assert page.locator("#panel-2 .spark .before").count() == 1


def test_of_several_lines_the_one_that_is_brought_out_has_its_period_before(opened: Opened) -> None:
    page = opened("dashboards/goals")
    gray = variable(page, "--before")
    assert gray not in ink(page, 7)
    expect(page.locator("#panel-7 .key")).to_be_hidden()
    page.locator("#panel-7 .legend button").first.hover()
    expect(page.locator("#panel-7 .key")).to_contain_text("a week before")
    assert ink(page, 7)[gray] > 100


def test_a_share_of_one_is_told_in_per_cent(opened: Opened) -> None:
    page = opened("dashboards/goals?last=7d")
    assert numbers(page, 3) == [
        "17.82%", "Sun 22 Nov", f"{MINUS}4.4% vs Sun 15 Nov", "182 points below target 200%",
    ]  # fmt: skip
    expect(page.locator("#panel-6 .measure")).to_contain_text("% by day")
    unfold(page, 6)
    figure = float(page.locator("#panel-6 tbody tr").nth(1).locator("td").inner_text())
    assert 17.8 < figure < 17.9


def test_small_panels_are_cards_and_wide_ones_as_wide_as_the_page(opened: Opened) -> None:
    page = opened("dashboards/goals")
    boxes = [page.locator(f"#panel-{panel}").bounding_box() for panel in (1, 2, 3, 4, 5)]
    widths = [box["width"] for box in boxes if box]
    whole = page.locator("main").evaluate("main => main.clientWidth")
    assert widths[0] == pytest.approx(whole, abs=2)
    assert widths[1:4] == [pytest.approx(whole / 3, rel=0.05)] * 3
    assert widths[4] == pytest.approx(whole / 2, rel=0.05)
    assert page.locator("#panel-2 canvas").count() == 0
    assert page.locator("#panel-2 .spark .line").count() == 1


def test_descriptions_stand_under_titles_and_on_cards_behind_a_button(opened: Opened) -> None:
    page = opened("dashboards/goals")
    expect(page.locator("#panel-1 .description")).to_have_text("Who signed up <b>today</b>.")
    tip = page.get_by_role("tooltip", include_hidden=True)
    expect(tip).to_be_hidden()
    page.get_by_role("button", name="About Revenue").focus()
    expect(tip).to_be_visible()
    expect(tip).to_have_text("What was paid.")
    expect(page.locator(".heading .description")).to_have_text("Where Pagesnap wants to be.")


def test_the_sources_are_a_table_those_in_need_first(opened: Opened) -> None:
    page = opened("dashboards/pipeline")
    rows = page.locator("#panel-1 tbody tr")
    told = [row.inner_text().replace("\t", " ") for row in rows.all()]
    assert told == [
        "analytics 5 days old failed Mon 23 Nov, 14:20 Wed 18 Nov, 00:00 Tue 24 Nov, 00:00",
        "ga4 failed: 403 <b>no access</b>",
        "product just read running Mon 23 Nov, 14:20 Mon 23 Nov, 14:20 Tue 24 Nov, 00:00",
        "api just read done Mon 23 Nov, 14:20 Mon 23 Nov, 14:20 Mon 23 Nov, 15:00",
        "stripe \N{EN DASH} never read \N{EN DASH} Tue 24 Nov, 00:00",
    ]
    page.locator("#panel-1").get_by_role("link", name="failed").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(r"Run \d+ of analytics"))
    expect(page.locator("pre")).to_have_text("ga4 failed: 403 <b>no access</b>")


def test_runs_are_bars_by_their_state_with_the_newest_failures(opened: Opened) -> None:
    page = opened("dashboards/pipeline?last=7d")
    colours = ink(page, 2)
    done, running, failed = (colours[variable(page, f"--state-{state}")] for state in ("done", "running", "failed"))
    assert done / failed == pytest.approx(3, rel=0.15)
    assert running / failed == pytest.approx(1, rel=0.15)
    expect(page.locator("#panel-2 .legend")).to_contain_text("in alldone3running1failed1")
    expect(page.locator("#panel-2 .failures")).to_contain_text("ga4 failed: 403 <b>no access</b>")
    page.locator("#panel-2 .u-over").hover(position={"x": 10, "y": 20})
    expect(page.locator("#panel-2 .legend")).to_contain_text("Tue 17 Novdone0running0failed0")
    unfold(page, 2)
    expect(page.locator("#panel-2 tbody tr").first).to_have_text("Mon 23 Nov311")


def test_what_was_read_is_a_bar_for_each_source(opened: Opened) -> None:
    page = opened("dashboards/pipeline?last=10d")
    bars = page.locator("#panel-3 .strips svg")
    assert bars.count() == 4
    analytics = bars.nth(2)
    assert analytics.get_attribute("aria-label") == "analytics: 1 windows failed or were never read"
    final, failed = (float(analytics.locator(f".covered-{s}").get_attribute("width") or 0) for s in ("final", "failed"))
    assert final == pytest.approx(1000 * 96 / 230.33, abs=1)
    assert failed == pytest.approx(1000 * 134.33 / 230.33, abs=1)
    assert bars.nth(3).locator("rect").count() == 0
    unfold(page, 3)
    row = page.locator("#panel-3 tbody tr", has_text="failed")
    assert row.inner_text().split("\t") == ["analytics", "Wed 18 Nov, 00:00", "Mon 23 Nov, 14:20", "failed"]


def test_small_panels_of_the_pipeline_are_numbers(opened: Opened) -> None:
    page = opened("dashboards/pipeline?last=10d")
    assert numbers(page, 4) == ["2 of 4 sources are fresh", "the oldest is 5 days old"]
    assert numbers(page, 5) == ["1 failed", "of 5\u00a0runs"]
    assert numbers(page, 6)[1] == "of the time was read"
    assert float(numbers(page, 6)[0].strip("% ")) == pytest.approx(100 * (1 - 134.33 / (3 * 230.33)), abs=0.1)


def test_weeks_are_marked_where_they_begin(opened: Opened) -> None:
    marks = opened("dashboards/growth?last=90d").evaluate("""async () => {
      const {commonOptions, inkOf} = await import("/static/axes.js");
      const {Times} = await import("/static/format.js");
      const place = document.querySelector("#panel-1 .plot");
      const buckets = Array.from({length: 30}, (_, week) => 1774738800 + week * 604800);
      const times = new Times("Europe/Paris", 1795440000);
      const options = commonOptions({place, times, buckets, by: "week", ink: inkOf(place)});
      const chart = {bbox: {width: 640 * uPlot.pxRatio}};
      const splits = options.axes[0].splits(chart);
      return options.axes[0].values(chart, splits);
    }""")
    assert marks == ["29 Mar", "26 Apr", "24 May", "21 Jun", "19 Jul", "16 Aug", "13 Sep", "11 Oct"]


def test_numbers_and_times_are_told_for_people(opened: Opened) -> None:
    told = opened().evaluate("""async () => {
      const {age, amount, axisAmounts, change, headlineAmount, quantity, Times} = await import("/static/format.js");
      const {against} = await import("/static/words.js");
      const times = new Times("Europe/Paris", 1795440000);
      return {
        amounts: [amount(1234), amount(0.1 + 0.2), amount(12.345), amount(0.00012345), amount(-5)],
        money: [amount(12.3, "USD"), amount(12, "USD"), amount(12345.67, "EUR"), amount(-0.5, "USD")],
        quantities: [quantity(4.25, "%"), quantity(3, "users"), quantity(3, ""), quantity(3, "USD")],
        headlines: [headlineAmount(999999), headlineAmount(1234567), headlineAmount(1234567, "USD")],
        axes: [axisAmounts([0, 500, 1000, 1500], 500), axisAmounts([0, 0.5], 0.5), axisAmounts([12300], 100)],
        changes: [0.25, -0.034, 0.0001, 20].map(change),
        ages: [0, 59, 60, 3599, 3600, 172799, 172800, 3e7].map(age),
        targets: [[65, 70, "users"], [70, 70, "users"], [0.3, 0.1 + 0.2, ""], [8684, 9000, "USD"], [91.894, 92, "%"],
          [93, 92, "%"], [-5, 0, "USD"]].map((each) => Object.values(against(...each)).join(" ")),
        buckets: ["hour", "day", "week", "month", "quarter", "year"].map((by) => times.bucket(1774738800, by)),
        other: times.bucket(1700000000, "day"),
      };
    }""")
    assert told == {
        "amounts": ["1,234", "0.3", "12.35", "0.000123", f"{MINUS}5"],
        "money": ["$12.30", "$12", "€12,346", f"{MINUS}$0.50"],
        "quantities": ["4.25%", "3\u00a0users", "3", "$3"],
        "headlines": ["999,999", "1.23M", "$1.23M"],
        "axes": [["0", "500", "1k", "1.5k"], ["0", "0.5"], ["12.3k"]],
        "ages": [
            "just read",
            "just read",
            "1 min old",
            "59 min old",
            "1 hour old",
            "47 hours old",
            "2 days old",
            "347 days old",
        ],
        "targets": [
            "false 5 below target 70",
            "true on target 70",
            "true on target 0.3",
            "false $316 below target $9,000",
            "false 0.11 points below target 92%",
            "true 1 point above target 92%",
            "false $5 below target $0",
        ],
        "changes": ["+25%", f"{MINUS}3.4%", "±0%", "more than +999%"],
        "buckets": ["Sun 29 Mar, 00:00", "Sun 29 Mar", "week of 29 Mar", "Mar 2026", "Q1 2026", "2026"],
        "other": "Tue 14 Nov 2023",
    }


def test_without_its_chart_library_the_page_still_tells_the_numbers(opened: Opened) -> None:
    page = opened(but="net::ERR_FAILED", without="**/uPlot.iife.min.js")
    expect(page.locator("#panel-3")).to_contain_text("uPlot, which draws the charts, was not built into this package.")
    assert numbers(page, 3)[0] == "$2,302"
    unfold(page, 3)
    expect(page.locator("#panel-3 tbody tr")).to_have_count(30)


def test_what_goes_wrong_is_said_and_can_be_tried_again(opened: Opened) -> None:
    page = opened(but="the server responded with a status of 503")
    page.route("**/data?*", lambda route: route.fulfill(status=503, json={"error": "the warehouse refused: away"}))
    page.get_by_role("link", name="the last 7 days").click()
    expect(page.get_by_role("alert")).to_contain_text("the warehouse refused: away")
    expect(page.locator("#panel-1 canvas")).to_be_visible()
    page.unroute("**/data?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.get_by_label("from")).to_have_value("2026-11-17")
