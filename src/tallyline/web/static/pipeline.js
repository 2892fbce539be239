// How the pipeline is: a row for each source, and what is known of each over time.

import { drawing, element } from "./elements.js";
import { folded, scrolling } from "./figures.js";
import { age } from "./format.js";

const STATES = { final: "final", provisional: "provisional", missing: "not known to the source", gap: "never read", failed: "failed" };
const WIDTH = 1000;
const LEAST = { final: 0, provisional: 1.5, missing: 3, gap: 3, failed: 3 };
const LABELS = 5;
const MOST_ROWS = 500;

/** A table of the sources: how old their data is, how the last run ended, when they are read next. */
export function sources({ title, sources: rows }, times) {
  const heads = ["Source", "Data", "Last run", "Final up to", "Next"];
  return scrolling(title, "", heads, rows.flatMap((row) => sourceRows(row, times)));
}

function sourceRows(row, times) {
  const { source, state, run, at, until, late, final_until: finalUntil, next, error } = row;
  const moment = (seconds) => (seconds === null ? "–" : times.moment(seconds));
  const old = until === null ? "–" : element("span", { class: late ? "age late" : "age", title: `up to ${times.moment(until)}` }, age(times.now - until));
  const last = run === null
    ? [element("span", { class: "state" }, state)]
    : [element("a", { href: `/runs/${run}`, class: `state ${state}` }, state), " ", moment(at)];
  const cells = [[old], last, [moment(finalUntil)], [moment(next)]].map((inside) => element("td", {}, ...inside));
  const first = element("tr", {}, element("th", { scope: "row" }, source), ...cells);
  return error ? [first, element("tr", { class: "why" }, element("td", { colspan: "5" }, error))] : [first];
}

/** A bar for each source: what of the range is final, provisional, failed or a gap. */
export function coverage(panel, times, view) {
  const strips = panel.sources.map((each) => strip(each, panel));
  const there = new Set(panel.sources.flatMap(({ stretches }) => stretches.map(([, , state]) => state)));
  const keys = Object.keys(STATES).filter((state) => there.has(state) || ["final", "provisional"].includes(state));
  return [
    element("div", { class: "strips" }, ...strips.flat(), element("div", { class: "axis" }, ...labels(panel, times))),
    element("ul", { class: "keys" }, ...keys.map((state) =>
      element("li", { class: "key" }, element("span", { class: `swatch covered-${state}` }), STATES[state]))),
    folded(view, () => windows(panel, times)),
  ];
}

/** How much of the range is known, from 0 to 1, of what lies between the first and the last window of the sources. */
export function shareKnown({ sources: all }) {
  const lengths = { known: 0, all: 0 };
  for (const [since, until, state] of all.flatMap(({ stretches }) => stretches)) {
    lengths.all += until - since;
    if (state === "final" || state === "provisional") lengths.known += until - since;
  }
  return lengths.all ? lengths.known / lengths.all : null;
}

function strip({ source, stretches }, { since, until }) {
  const x = (seconds) => ((seconds - since) / (until - since)) * WIDTH;
  const picture = drawing("svg", { viewBox: `0 0 ${WIDTH} 10`, preserveAspectRatio: "none", role: "img", "aria-label": inWords(source, stretches) });
  const worstLast = [...stretches].sort(([, , one], [, , other]) => rank(one) - rank(other));
  for (const [from, to, state] of worstLast) {
    const width = Math.max(x(to) - x(from), LEAST[state]);
    const left = Math.min(x(from), WIDTH - width);
    picture.append(drawing("rect", { class: `covered-${state}`, x: left.toFixed(2), width: width.toFixed(2), y: "0", height: "10" }));
  }
  return [element("span", { class: "source" }, source), picture];
}

const rank = (state) => Object.keys(STATES).indexOf(state);

function inWords(source, stretches) {
  const bad = stretches.filter(([, , state]) => state === "failed" || state === "gap").length;
  if (!stretches.length) return `${source}: nothing in this range`;
  return `${source}: ${bad ? `${bad} windows failed or were never read` : "no gap"}`;
}

function labels({ since, until }, times) {
  return Array.from({ length: LABELS }, (_, index) => {
    const seconds = since + ((until - since) * index) / (LABELS - 1);
    return element("span", {}, until - since > 3 * 86_400 ? times.date(seconds) : times.moment(seconds));
  });
}

function windows({ title, sources: all }, times) {
  const rows = all.flatMap(({ source, stretches }) => [...stretches].reverse().map(([since, until, state]) =>
    element("tr", {},
      element("th", { scope: "row" }, source),
      ...[times.moment(since), times.moment(until), STATES[state]].map((text) => element("td", {}, text)))));
  return scrolling(`Figures of ${title}`, "", ["", "from", "to", "state"], rows.slice(0, MOST_ROWS));
}
