// One panel's chart: uPlot's canvas, a legend that tells the values under the cursor, and the figures as a table.

import { element } from "./elements.js";
import { amount, axisAmounts, exact, quantity } from "./format.js";

const HOUR = 3600;
const DAY = 24 * HOUR;
const MONTH = 30 * DAY;
const YEAR = 365 * DAY;
const TIME_STEPS = [
  ...[1, 2, 3, 4, 6, 8, 12].map((hours) => hours * HOUR),
  ...[1, 2, 3, 4, 5, 7, 10, 15].map((days) => days * DAY),
  ...[1, 2, 3, 4, 6].map((months) => months * MONTH),
  ...[1, 2, 5, 10, 20, 50].map((years) => years * YEAR),
];
const LEAST_STEP = { hour: HOUR, day: DAY, week: DAY, month: MONTH, quarter: MONTH, year: YEAR };
const WHOLE_STEPS = Array.from({ length: 16 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat();
const HEIGHT = 230;
const SO_FAR = "so far";
const ROOM_FOR_SO_FAR = 48;
const ROOM_FOR_HALF_A_LABEL = 22;
const DENSE_FROM = 250;
const LINES_OF_VALUES = 4;
const EVERY_POINT_UP_TO = 14;
const MOST_ROWS = 500;
const WITHOUT_LIBRARY = {
  message: "uPlot, which draws the charts, was not built into this package. The figures are below. In a checkout:",
  command: "make setup",
};
const SHORTEST_DRAG = 8;
const ZERO_BELOW = 0.6;
const AREA_ALPHA = "26";
const NO_ALPHA = "00";
const FADED = 0.15;

/**
 * Draw `panel` into `place` and return how to take it away. `view` remembers what the reader has hidden and opened,
 * `choose(first, last)` is called with two bucket times that were drawn over.
 */
export function drawChart(place, panel, times, view, choose) {
  if (panel.message) {
    place.replaceChildren(message(panel));
    return () => {};
  }
  if (!globalThis.uPlot) {
    place.replaceChildren(message(WITHOUT_LIBRARY), table(panel, times, view));
    return () => {};
  }
  const chart = new Chart(panel, times, view, choose);
  place.replaceChildren(chart.plot, chart.legend, table(panel, times, view));
  return chart.start();
}

function message({ message: words, command }) {
  return element("p", { class: "nothing" }, words, command ? element("code", {}, command) : null);
}

class Chart {
  constructor(panel, times, view, choose) {
    Object.assign(this, { panel, times, view, choose });
    this.buckets = panel.silent_until === null ? panel.times : [...panel.times, panel.silent_until];
    const tail = panel.times.findIndex((time) => panel.incomplete_from !== null && time >= panel.incomplete_from);
    this.tailIndex = tail < 0 ? Infinity : tail;
    this.plot = element("div", { class: "plot", role: "img", "aria-label": description(panel, times) });
    this.legend = element("div", { class: "legend" });
    this.fillLegend();
  }

  start() {
    this.uplot = new uPlot(this.options(), this.data(), this.plot);
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(this.plot);
    this.hideHidden();
    return () => {
      observer.disconnect();
      this.uplot.destroy();
    };
  }

  resize() {
    const width = this.plot.clientWidth;
    if (width && width !== this.uplot.width) this.uplot.setSize({ width, height: HEIGHT });
  }

  // Each line is two series: what is complete, drawn solid, and from there on what is known so far, dashed.
  data() {
    const parts = this.panel.lines.flatMap(({ values }) => [
      values.map((value, index) => (index < this.tailIndex ? value : null)),
      values.map((value, index) => (index >= this.tailIndex - 1 ? value : null)),
    ]);
    const padded = parts.map((part) => (part.length < this.buckets.length ? [...part, null] : part));
    return [this.buckets, ...padded];
  }

  options() {
    const style = getComputedStyle(this.plot);
    const color = (name) => style.getPropertyValue(name).trim();
    this.ink = { muted: color("--muted"), grid: color("--grid"), font: `11px ${style.fontFamily}` };
    return {
      width: this.plot.clientWidth || 300,
      height: HEIGHT,
      padding: [10, this.tailIndex === Infinity ? ROOM_FOR_HALF_A_LABEL : ROOM_FOR_SO_FAR, 0, 0],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), this.times.zone),
      legend: { show: false },
      scales: { x: { range: () => this.timeRange() }, y: { range: this.valueRange } },
      axes: [this.timeAxis(), this.valueAxis()],
      series: [{}, ...this.panel.lines.flatMap((_, index) => this.series(color(`--line-${index + 1}`)))],
      cursor: this.cursor(),
      hooks: {
        setCursor: [(chart) => this.tell(chart.cursor.idx)],
        setSelect: [(chart) => this.selected(chart)],
        draw: [(chart) => this.sayHowFar(chart)],
      },
    };
  }

  series(stroke) {
    const only = this.panel.lines.length === 1;
    const width = (only ? 2 : 1.75) * (this.buckets.length < DENSE_FROM ? 1 : 0.6);
    const common = { stroke, width, spanGaps: false };
    const points = { show: false, size: 6, fill: stroke, filter: (chart, index) => lonely(chart.data[index]) };
    const fill = only ? (chart) => area(chart, stroke) : undefined;
    return [{ ...common, points, fill }, { ...common, points, dash: [3, 4] }];
  }

  timeAxis() {
    return {
      stroke: this.ink.muted,
      font: this.ink.font,
      size: (_, labels) => (labels?.some((label) => label.includes("\n")) ? 40 : 26),
      gap: 6,
      space: 64,
      grid: { show: false },
      ticks: { stroke: this.ink.grid, width: 1, size: 5 },
      incrs: TIME_STEPS.filter((step) => step >= LEAST_STEP[this.panel.by]),
      values: (_, ticks, axis, space, step) => this.times.axis(ticks, step),
    };
  }

  valueAxis() {
    const whole = this.panel.lines.every(({ values }) => values.every((value) => Number.isInteger(value ?? 0)));
    return {
      stroke: this.ink.muted,
      font: this.ink.font,
      size: (chart, labels) => axisWidth(chart, labels, this.ink.font),
      gap: 8,
      space: 36,
      grid: { stroke: this.ink.grid, width: 1 },
      ticks: { show: false },
      values: (_, ticks, axis, space, step) => axisAmounts(ticks, step),
      ...(whole ? { incrs: WHOLE_STEPS } : {}),
    };
  }

  timeRange() {
    const [first, last] = [this.buckets[0], this.buckets.at(-1)];
    const room = first === last ? LEAST_STEP[this.panel.by] : 0;
    return [first - room, last + room];
  }

  // Counts are drawn from zero; other kinds too, unless that would press them into a flat line.
  valueRange = (_, least, greatest) => {
    if (least === null || greatest === null) return [0, 1];
    const fromZero = this.panel.kind === "count" || least < greatest * ZERO_BELOW;
    if (fromZero && least >= 0) return greatest > 0 ? [0, greatest * 1.06] : [0, 1];
    const step = roundStep((greatest - least || Math.abs(greatest) || 1) / LINES_OF_VALUES);
    const bottom = Math.floor(least / step) * step;
    const top = Math.ceil(greatest / step) * step;
    return bottom < top ? [bottom, top] : [bottom - step, top + step];
  };

  cursor() {
    const moves = new Set(["mousemove", "mouseleave"]);
    return {
      y: false,
      move: (chart, left, top) => [left < 0 ? left : chart.valToPos(this.buckets[chart.posToIdx(left)], "x"), top],
      drag: { x: true, y: false, setScale: false },
      points: { size: 7 },
      sync: { key: "tallyline", setSeries: false, filters: { pub: (type) => moves.has(type) } },
    };
  }

  selected(chart) {
    const { left, width } = chart.select;
    if (width >= SHORTEST_DRAG) {
      const bucket = (position) => this.buckets[chart.posToIdx(position)];
      this.choose(bucket(left), bucket(left + width), this.panel.by);
    }
    if (width) chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }

  // "so far" stands beside the end of the highest line.
  sayHowFar(chart) {
    const tails = this.panel.lines.map(({ values }) => values.at(-1)).filter((value) => value !== null);
    if (this.tailIndex === Infinity || !tails.length) return;
    const { ctx, pxRatio } = { ctx: chart.ctx, pxRatio: uPlot.pxRatio };
    ctx.save();
    ctx.font = scaledFont(this.ink.font, pxRatio);
    ctx.fillStyle = this.ink.muted;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    const x = chart.valToPos(this.panel.times.at(-1), "x", true) + 8 * pxRatio;
    ctx.fillText(SO_FAR, x, chart.valToPos(Math.max(...tails), "y", true));
    ctx.restore();
  }

  fillLegend() {
    const { lines } = this.panel;
    this.at = element("p", { class: "at" });
    this.amounts = lines.map(() => element("span", { class: "amount" }));
    if (lines.length === 1) {
      this.at.append(this.when = element("span"), this.amounts[0]);
      this.legend.append(this.at);
    } else {
      this.at.append(this.when = element("span"));
      const items = lines.map(({ label }, index) => element("li", {}, this.legendButton(label, index)));
      this.legend.append(this.at, element("ul", {}, ...items));
    }
    this.tell(null);
  }

  legendButton(label, index) {
    const swatch = element("span", { class: `swatch line-${index + 1}` });
    const button = element("button", { type: "button", "aria-pressed": String(!this.view.hidden.has(label)) },
      swatch, element("span", { class: "label", title: label }, label), this.amounts[index]);
    this.amounts[index].style.minInlineSize = `${longestAmount(this.panel.lines[index].values, this.panel.unit)}ch`;
    button.addEventListener("click", () => this.toggle(button, label, index));
    for (const [event, focused] of [["mouseenter", index], ["focus", index], ["mouseleave", null], ["blur", null]]) {
      button.addEventListener(event, () => this.bringOut(focused));
    }
    return button;
  }

  toggle(button, label, index) {
    const { hidden } = this.view;
    if (!hidden.delete(label)) hidden.add(label);
    button.setAttribute("aria-pressed", String(!hidden.has(label)));
    this.show(index, !hidden.has(label));
  }

  hideHidden() {
    this.panel.lines.forEach(({ label }, index) => {
      if (this.view.hidden.has(label)) this.show(index, false);
    });
  }

  show(index, show) {
    for (const series of seriesOf(index)) this.uplot.setSeries(series, { show });
  }

  bringOut(focused) {
    this.panel.lines.forEach((_, index) => {
      const alpha = focused === null || focused === index ? 1 : FADED;
      for (const series of seriesOf(index)) this.uplot.series[series].alpha = alpha;
    });
    this.uplot.redraw(false);
  }

  // Without a cursor the legend tells the last complete bucket that is drawn.
  tell(cursorIndex) {
    const { times, lines, by, unit } = this.panel;
    const last = Math.min(times.length, this.tailIndex) - 1;
    const index = cursorIndex ?? (last < 0 ? times.length - 1 : last);
    const soFar = index >= this.tailIndex && index < times.length ? ` ${SO_FAR}` : "";
    this.when.textContent = `${this.times.bucket(this.buckets[index], by)}${soFar}`;
    lines.forEach(({ values }, line) => {
      this.amounts[line].textContent = told(values[index], unit, lines.length === 1);
    });
  }
}

function longestAmount(values, unit) {
  const known = values.filter((value) => value !== null);
  return Math.max(...[Math.min(0, ...known), Math.max(0, ...known)].map((value) => amount(value, unit).length));
}

function told(value, unit, withUnit) {
  if (value === null || value === undefined) return withUnit ? "not known" : "–";
  return withUnit ? quantity(value, unit) : amount(value, unit);
}

const seriesOf = (line) => [2 * line + 1, 2 * line + 2];

/** The points that no line leads to or from; of short lines, all points. */
function lonely(values) {
  const isKnown = (index) => values[index] !== null && values[index] !== undefined;
  const all = values.keys();
  const few = values.length <= EVERY_POINT_UP_TO;
  const alone = [...all].filter((index) => isKnown(index) && (few || !(isKnown(index - 1) || isKnown(index + 1))));
  return alone.length ? alone : null;
}

function area(chart, stroke) {
  const { top, height } = chart.bbox;
  if (!(height > 0) || chart.scales.y.min !== 0) return `${stroke}${NO_ALPHA}`;
  const gradient = chart.ctx.createLinearGradient(0, top, 0, top + height);
  gradient.addColorStop(0, `${stroke}${AREA_ALPHA}`);
  gradient.addColorStop(1, `${stroke}${NO_ALPHA}`);
  return gradient;
}

function roundStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find((digit) => digit * power >= rough) ?? 10);
}

function axisWidth(chart, labels, font) {
  if (!labels) return 40;
  chart.ctx.font = scaledFont(font, uPlot.pxRatio);
  const widest = Math.max(0, ...labels.map((label) => chart.ctx.measureText(label).width));
  return Math.ceil(widest / uPlot.pxRatio) + 16;
}

function scaledFont(font, pxRatio) {
  return font.replace(/^([\d.]+)px/, (_, size) => `${size * pxRatio}px`);
}

function description({ title, unit, by, times, lines, headline }, told) {
  const what = `Line chart of ${title}${unit ? ` in ${unit}` : ""} by ${by}`;
  const span = `${told.bucket(times[0], by)} to ${told.bucket(times.at(-1), by)}`;
  const parts = lines.length > 1 ? `, ${lines.length} lines: ${lines.map(({ label }) => label).join(", ")}` : "";
  const last = headline ? `. The last complete ${by}, ${told.bucket(headline.time, by)}: ${quantity(headline.value, unit)}` : "";
  return `${what}, ${span}${parts}${last}. The figures are in the table below.`;
}

/** The figures, the newest first; made only when somebody wants to see them. */
function table(panel, times, view) {
  const details = element("details", { class: "figures" }, element("summary", {}, "Figures"));
  const fill = () => {
    view.open = details.open;
    if (details.open && details.childElementCount === 1) details.append(figures(panel, times));
  };
  details.open = Boolean(view.open);
  fill();
  details.addEventListener("toggle", fill);
  return details;
}

function figures({ title, unit, by, times: buckets, lines, incomplete_from: incompleteFrom }, times) {
  const heads = ["", ...lines.map(({ label }) => label)];
  const newest = [...buckets.keys()].reverse().slice(0, MOST_ROWS);
  const rows = newest.map((index) => {
    const soFar = incompleteFrom !== null && buckets[index] >= incompleteFrom ? ` ${SO_FAR}` : "";
    return element("tr", {},
      element("th", { scope: "row" }, `${times.bucket(buckets[index], by)}${soFar}`),
      ...lines.map(({ values }) => element("td", {}, values[index] === null ? "–" : exact(values[index]))));
  });
  const shown = rows.length < buckets.length ? `, the newest ${rows.length} of ${buckets.length}` : "";
  return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Figures of ${title}` },
    element("table", {},
      element("caption", {}, `${unit ? `${unit} ` : ""}by ${by}${shown}`),
      element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
      element("tbody", {}, ...rows)));
}
