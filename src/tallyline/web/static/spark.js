// The small line of a card: the range without the running bucket, which would look like a crash.

import { drawing } from "./elements.js";

const SPARK = { width: 120, height: 36, margin: 2, mostPoints: 60 };

/** A picture of the panel's values, of the period before in gray, and of the target. */
export function sparkline(panel) {
  const picture = drawing("svg", {
    class: "spark", viewBox: `0 0 ${SPARK.width} ${SPARK.height}`, preserveAspectRatio: "none", "aria-hidden": "true",
  });
  const only = panel.lines.length === 1 ? panel.lines[0] : { values: [], before: [] };
  const values = thinned(complete(panel.total ?? only.values, panel), SPARK.mostPoints);
  const earlier = thinned(complete(only.before, panel), SPARK.mostPoints);
  const known = [...values, ...earlier, panel.target].filter((each) => each !== null);
  if (values.filter((each) => each !== null).length < 2) return picture;
  const scale = scaleOf(known, panel.kind);
  for (const { line } of stretches(earlier, scale)) picture.append(drawing("path", { class: "before", d: line }));
  for (const { line, area } of stretches(values, scale)) {
    picture.append(drawing("path", { class: "area", d: area }), drawing("path", { class: "line", d: line }));
  }
  if (panel.target !== null) picture.append(drawing("path", { class: "target", d: `M0 ${scale(panel.target)}H${SPARK.width}` }));
  return picture;
}

function scaleOf(known, kind) {
  const greatest = Math.max(...known);
  const least = kind === "count" ? Math.min(0, ...known) : Math.min(...known);
  const bottom = SPARK.height - SPARK.margin;
  const scale = greatest > least ? (bottom - SPARK.margin) / (greatest - least) : 0;
  return (each) => rounded(scale ? bottom - (each - least) * scale : SPARK.height / 2);
}

function complete(values, { times, incomplete_from: incompleteFrom }) {
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

/** Paths of the stretches between gaps. */
function stretches(values, scale) {
  const x = (index) => rounded((index * SPARK.width) / (values.length - 1));
  return stretchesOf(values).map((indexes) => {
    const line = `M${indexes.map((index) => `${x(index)} ${scale(values[index])}`).join("L")}`;
    return { line, area: `${line}L${x(indexes.at(-1))} ${SPARK.height}L${x(indexes[0])} ${SPARK.height}Z` };
  });
}

function stretchesOf(values) {
  const found = [];
  values.forEach((each, index) => {
    if (each === null) return;
    if (index > 0 && values[index - 1] !== null) found.at(-1).push(index);
    else found.push([index]);
  });
  return found;
}

function rounded(position) {
  return Math.round(position * 10) / 10;
}
