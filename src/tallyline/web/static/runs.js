// Runs by their state over time: bars that stand on each other, and the newest failures.

import { commonOptions, inkOf, lengthOf, placed } from "./axes.js";
import { element } from "./elements.js";
import { amount } from "./format.js";

const ROOM_FOR_HALF_A_LABEL = 22;
const ROOM_ABOVE = 1.06;

/** Draw the bars of `panel` into `place` and return how to take them away. */
export function drawRuns(place, panel, times, height, choose) {
  const bars = new Bars(panel, times);
  place.append(bars.plot, bars.legend);
  return bars.start(height, choose);
}

/** The newest failures as a list; each leads to its run. */
export function failures({ failures: newest }, times) {
  if (!newest.length) return null;
  return element("ul", { class: "failures", "aria-label": "The newest failures" }, ...newest.map((run) => element("li", {},
    element("a", { href: `/runs/${run.run}` }, run.source),
    element("span", { class: `state ${run.state}` }, run.state),
    element("span", { class: "when" }, times.moment(run.at)),
    element("span", { class: "error" }, run.error))));
}

/** How many runs there were in all, and how many of them went wrong. */
export function runsInAll({ lines }) {
  const sums = lines.map(({ label, values }) => [label, values.reduce((sum, value) => sum + value, 0)]);
  const all = sums.reduce((sum, [, count]) => sum + count, 0);
  const failed = sums.reduce((sum, [label, count]) => sum + (["failed", "lost"].includes(label) ? count : 0), 0);
  return { all, failed };
}

class Bars {
  constructor(panel, times) {
    Object.assign(this, { panel, times });
    const { all, failed } = runsInAll(panel);
    const label = `Bars of runs by ${panel.by}: ${amount(all)} runs, ${amount(failed)} of them failed or were lost`;
    this.plot = element("div", { class: "plot", role: "img", "aria-label": label });
    this.legend = element("div", { class: "legend" });
    this.amounts = panel.lines.map(() => element("span", { class: "amount" }));
    this.at = element("p", { class: "at" });
    const items = panel.lines.map(({ label: state }, index) => element("li", { class: "key" },
      element("span", { class: `swatch state-${state}` }), state, this.amounts[index]));
    this.legend.append(this.at, element("ul", {}, ...items));
    this.tell(null);
  }

  start(height, choose) {
    return placed(this.options(height, choose), this.data(), this.plot).takeAway;
  }

  // The highest stack is drawn first, what stands below it over it.
  data() {
    const stacks = [];
    for (const { values } of this.panel.lines) {
      stacks.push(values.map((value, index) => value + (stacks.at(-1)?.[index] ?? 0)));
    }
    return [this.panel.times, ...stacks.reverse()];
  }

  options(height, choose) {
    const { panel, times } = this;
    const ink = inkOf(this.plot);
    const range = (_, least, greatest) => [0, greatest > 0 ? greatest * ROOM_ABOVE : 1];
    const options = commonOptions({
      place: this.plot, height, times, buckets: panel.times, by: panel.by, ink, whole: true, range,
      at: (index) => this.tell(index ?? null), choose,
    });
    const paths = uPlot.paths.bars({ align: 1, size: [0.8, 60], radius: 0.1 });
    options.padding = [10, ROOM_FOR_HALF_A_LABEL, 0, 0];
    options.scales.x.range = () => [panel.times[0], panel.times.at(-1) + lengthOf(panel.by)];
    options.series = [{}, ...[...panel.lines].reverse().map(({ label }) => {
      const fill = ink.color(`--state-${label}`);
      return { fill, stroke: fill, width: 0, paths, points: { show: false } };
    })];
    options.cursor.points = { show: false };
    return options;
  }

  // Without a cursor the legend tells how many there are in all.
  tell(index) {
    const { times, lines, by } = this.panel;
    this.at.textContent = index === null ? "in all" : this.times.bucket(times[index], by);
    lines.forEach(({ values }, line) => {
      const told = index === null ? values.reduce((sum, value) => sum + value, 0) : values[index];
      this.amounts[line].textContent = amount(told);
    });
  }
}
