// The number cards: the last complete bucket, what it is compared with, and a small line of the range.

import { drawing, element } from "./elements.js";
import { change, headlineAmount, isMoney, quantity } from "./format.js";

const SPARK = { width: 120, height: 36, margin: 2, mostPoints: 60 };

/** What a panel's card holds. */
export function cardContent(panel, times) {
  if (panel.message) return [element("p", { class: "nothing" }, panel.command ? "no data" : "no number")];
  const { headline, by } = panel;
  if (!headline) return [element("p", { class: "nothing" }, `no complete ${by} yet`), sparkline(panel)];
  return [
    element("div", { class: "numbers" }, value(panel), when(panel, times), comparison(panel, times)),
    sparkline(panel),
  ];
}

function value({ headline, unit }) {
  const shown = element("p", { class: "value", title: quantity(headline.value, unit) });
  shown.append(headlineAmount(headline.value, unit));
  if (unit === "%") shown.append("%");
  else if (unit && !isMoney(unit)) shown.append(" ", element("span", { class: "unit" }, unit));
  return shown;
}

function when({ headline, by, silent_until: silentUntil }, times) {
  const bucket = times.bucket(headline.time, by);
  if (silentUntil === null) return element("p", { class: "when" }, bucket);
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

function sparkline(panel) {
  const picture = drawing("svg", {
    class: "spark", viewBox: `0 0 ${SPARK.width} ${SPARK.height}`, preserveAspectRatio: "none", "aria-hidden": "true",
  });
  const stretches = sparkPaths(panel);
  for (const { line, area } of stretches) {
    picture.append(drawing("path", { class: "area", d: area }), drawing("path", { class: "line", d: line }));
  }
  return picture;
}

/** Paths of the stretches between gaps. The running bucket is left out: it would look like a crash. */
function sparkPaths(panel) {
  const values = thinned(completeValues(panel), SPARK.mostPoints);
  const known = values.filter((each) => each !== null);
  if (known.length < 2) return [];
  const greatest = Math.max(...known);
  const least = panel.kind === "count" ? Math.min(0, ...known) : Math.min(...known);
  const bottom = SPARK.height - SPARK.margin;
  const scale = greatest > least ? (bottom - SPARK.margin) / (greatest - least) : 0;
  const x = (index) => rounded((index * SPARK.width) / (values.length - 1));
  const y = (each) => rounded(scale ? bottom - (each - least) * scale : SPARK.height / 2);
  return stretchesOf(values).map((indexes) => {
    const line = `M${indexes.map((index) => `${x(index)} ${y(values[index])}`).join("L")}`;
    return { line, area: `${line}L${x(indexes.at(-1))} ${SPARK.height}L${x(indexes[0])} ${SPARK.height}Z` };
  });
}

function completeValues({ times, lines, total, incomplete_from: incompleteFrom }) {
  const values = total ?? lines[0].values;
  return incompleteFrom === null ? values : values.filter((_, index) => times[index] < incompleteFrom);
}

function thinned(values, most) {
  const size = Math.ceil(values.length / most);
  if (size < 2) return values;
  return Array.from({ length: Math.ceil(values.length / size) }, (_, group) => {
    const known = values.slice(group * size, (group + 1) * size).filter((each) => each !== null);
    return known.length ? known.reduce((sum, each) => sum + each, 0) / known.length : null;
  });
}

function stretchesOf(values) {
  const stretches = [];
  values.forEach((each, index) => {
    if (each === null) return;
    if (index > 0 && values[index - 1] !== null) stretches.at(-1).push(index);
    else stretches.push([index]);
  });
  return stretches;
}

function rounded(position) {
  return Math.round(position * 10) / 10;
}
