// The number over a chart or on a card: the last complete bucket, what it is compared with, and its target.

import { drawing, element } from "./elements.js";
import { age, change, headlineAmount, isMoney, quantity } from "./format.js";
import { against } from "./words.js";

const CHECK = "M2.5 6.5 5 9l4.5-6";
const ARROW = "M6 2v7.5M2.5 6 6 9.5 9.5 6";

/** The lines of text that tell the panel's number; the first is the number itself. */
export function numbers(panel, times) {
  const { headline, by, lines, total } = panel;
  if (!headline) {
    const why = lines.length > 1 && !total ? "no number for all of them together" : `no complete ${by} yet`;
    return [element("p", { class: "nothing" }, why)];
  }
  return [value(panel), when(panel, times), comparison(panel, times), target(panel)].filter((line) => line !== null);
}

/** How old the data is; what is late stands out. */
export function ageOf({ age: data }, times) {
  if (!data || data.until === null) return null;
  const told = `read up to ${times.moment(data.until)}, from ${data.sources.join(", ")}`;
  return element("span", { class: data.late ? "age late" : "age", title: told }, age(times.now - data.until));
}

function value({ headline, unit }) {
  const shown = element("p", { class: "value", title: quantity(headline.value, unit) });
  shown.append(headlineAmount(headline.value, unit));
  if (unit === "%") shown.append("%");
  else if (unit && !isMoney(unit)) shown.append(" ", element("span", { class: "unit" }, unit));
  return shown;
}

function when({ headline, by, age: data, silent_until: silentUntil }, times) {
  const bucket = times.bucket(headline.time, by);
  if (silentUntil === null || data?.late) return element("p", { class: "when" }, bucket);
  return element("p", { class: "when" }, bucket, " ", element("strong", {}, "nothing since"));
}

function comparison({ headline, by, unit }, times) {
  const earlier = times.bucket(headline.compared_with, by);
  if (headline.before === null) return element("p", { class: "change" }, `${earlier} is not known`);
  if (headline.change === null) {
    return element("p", { class: "change" }, `vs ${quantity(headline.before, unit)}, ${earlier}`);
  }
  const was = `${earlier}: ${quantity(headline.before, unit)}`;
  return element("p", { class: "change", title: was }, element("b", {}, change(headline.change)), ` vs ${earlier}`);
}

/** Green and red are for this alone; the mark and the words say it without them. */
function target({ headline, target: wanted, unit }) {
  if (wanted === null) return null;
  const { reached, words } = against(headline.value, wanted, unit);
  const mark = drawing("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, drawing("path", { d: reached ? CHECK : ARROW }));
  return element("p", { class: `against ${reached ? "reached" : "missed"}` }, mark, words);
}
