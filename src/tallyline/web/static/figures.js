// The figures of a panel as a table, the newest first; made only when somebody wants to see them.

import { element } from "./elements.js";
import { exact } from "./format.js";
import { before, SO_FAR } from "./words.js";

const MOST_ROWS = 500;

/** A table that is folded up; `view` remembers whether it was opened. */
export function figures(panel, times, view) {
  return folded(view, () => table(panel, times));
}

/** Something that is made when it is unfolded. */
export function folded(view, make) {
  const details = element("details", { class: "figures" }, element("summary", {}, "Figures"));
  const fill = () => {
    view.open = details.open;
    if (details.open && details.childElementCount === 1) details.append(make());
  };
  details.open = Boolean(view.open);
  fill();
  details.addEventListener("toggle", fill);
  return details;
}

/** A table that scrolls within its place. */
export function scrolling(label, caption, heads, rows) {
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    element("table", {},
      caption ? element("caption", {}, caption) : null,
      element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
      element("tbody", {}, ...rows)));
}

function table({ title, unit, by, times: buckets, lines, compare, incomplete_from: incompleteFrom }, times) {
  const heads = lines.flatMap(({ label, before: earlier }) =>
    (earlier?.length ? [label, lines.length > 1 ? `${label}, ${before(compare)}` : before(compare)] : [label]));
  const newest = [...buckets.keys()].reverse().slice(0, MOST_ROWS);
  const rows = newest.map((index) => {
    const soFar = incompleteFrom !== null && buckets[index] >= incompleteFrom ? ` ${SO_FAR}` : "";
    const values = lines.flatMap((line) => (line.before?.length ? [line.values, line.before] : [line.values]));
    return element("tr", {},
      element("th", { scope: "row" }, `${times.bucket(buckets[index], by)}${soFar}`),
      ...values.map((each) => element("td", {}, each[index] === null ? "–" : exact(each[index]))));
  });
  const shown = rows.length < buckets.length ? `, the newest ${rows.length} of ${buckets.length}` : "";
  return scrolling(`Figures of ${title}`, `${unit ? `${unit} ` : ""}by ${by}${shown}`, ["", ...heads], rows);
}
