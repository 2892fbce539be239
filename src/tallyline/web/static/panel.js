// A panel, whatever it shows: on a card as a number, otherwise with its number, its chart and its figures.

import { drawLines } from "./chart.js";
import { element } from "./elements.js";
import { figures } from "./figures.js";
import { age, amount, quantity } from "./format.js";
import { ageOf, numbers } from "./numbers.js";
import { coverage, shareKnown, sources } from "./pipeline.js";
import { drawRuns, failures, runsInAll } from "./runs.js";
import { sparkline } from "./spark.js";

const HEIGHT = 230;
const WITHOUT_LIBRARY = {
  message: "uPlot, which draws the charts, was not built into this package. The figures are below. In a checkout:",
  command: "make setup",
};

/** Fill `section` and return how to take away what must not only be forgotten. */
export function drawPanel(section, panel, times, view, choose) {
  const place = section.querySelector(".filled");
  const shown = panel.message ? panel : asPercent(panel);
  place.replaceChildren();
  section.querySelector(".measure")?.replaceChildren(...(panel.message ? [] : measure(shown, times)));
  if (panel.message) {
    place.append(message(panel));
    return () => {};
  }
  const draw = { metric: drawMetric, freshness: drawFreshness, runs: drawAllRuns, coverage: drawCoverage }[panel.shows];
  return draw(place, shown, times, view, choose, section.classList.contains("small")) ?? (() => {});
}

/** A share of one is told in per cent. */
function asPercent(panel) {
  if (!panel.share) return panel;
  const hundred = (value) => (value === null ? null : 100 * value);
  const { lines, total, target, headline } = panel;
  return {
    ...panel,
    unit: "%",
    lines: lines.map((line) => ({ ...line, values: line.values.map(hundred), before: line.before.map(hundred) })),
    total: total && total.map(hundred),
    target: hundred(target),
    headline: headline && { ...headline, value: hundred(headline.value), before: hundred(headline.before) },
  };
}

function measure(panel, times) {
  const unit = { metric: panel.unit, runs: "runs" }[panel.shows] ?? "";
  const words = panel.by ? `${unit} by ${panel.by}`.trim() : "";
  return [words ? element("span", {}, words) : null, ageOf(panel, times)].filter((each) => each !== null);
}

function drawMetric(place, panel, times, view, choose, isSmall) {
  const told = element("div", { class: "numbers" }, ...numbers(panel, times));
  if (isSmall) {
    place.append(told, sparkline(panel), ...[ageOf(panel, times)].filter((each) => each !== null));
    return undefined;
  }
  place.append(told);
  const draw = () => drawLines(place, panel, times, view, HEIGHT, choose);
  return charted(place, draw, figures(panel, times, view));
}

function drawAllRuns(place, panel, times, view, choose, isSmall) {
  const { all, failed } = runsInAll(panel);
  if (isSmall) {
    place.append(card(amount(failed), "failed", `of ${quantity(all, all === 1 ? "run" : "runs")}`));
    return undefined;
  }
  const draw = () => drawRuns(place, panel, times, HEIGHT, choose);
  const takeAway = charted(place, draw, figures({ ...panel, unit: "runs", incomplete_from: null }, times, view));
  place.append(...[failures(panel, times)].filter((each) => each !== null));
  return takeAway;
}

function drawFreshness(place, panel, times, view, choose, isSmall) {
  if (!isSmall) {
    place.append(sources(panel, times));
    return;
  }
  const fresh = panel.sources.filter(({ late, failing, until }) => !late && !failing && until !== null).length;
  const oldest = Math.min(...panel.sources.map(({ until }) => until ?? times.now));
  place.append(card(`${fresh} of ${panel.sources.length}`, "sources are fresh", `the oldest is ${age(times.now - oldest)}`));
}

function drawCoverage(place, panel, times, view, choose, isSmall) {
  if (!isSmall) {
    place.append(...coverage(panel, times, view));
    return;
  }
  const share = shareKnown(panel);
  place.append(card(share === null ? "–" : `${amount(100 * share)}%`, "", "of the time was read"));
}

function card(value, unit, words) {
  return element("div", { class: "numbers" },
    element("p", { class: "value" }, value, " ", element("span", { class: "unit" }, unit)),
    element("p", { class: "when" }, words));
}

/** Without its library there is no chart, but there are figures. */
function charted(place, draw, table) {
  const takeAway = globalThis.uPlot ? draw() : void place.append(message(WITHOUT_LIBRARY));
  place.append(table);
  return takeAway;
}

function message({ message: words, command }) {
  return element("p", { class: "nothing" }, words, command ? element("code", {}, command) : null);
}
