// One panel's chart: uPlot's canvas, and a legend that tells the values under the cursor.

import { commonOptions, inkOf, placed, scaledFont, valueRange } from "./axes.js";
import { element } from "./elements.js";
import { amount, quantity } from "./format.js";
import { before, SO_FAR } from "./words.js";

const ROOM_FOR_SO_FAR = 48;
const ROOM_FOR_HALF_A_LABEL = 22;
const DENSE_FROM = 250;
const EVERY_POINT_UP_TO = 14;
const AREA_ALPHA = "26";
const NO_ALPHA = "00";
const FADED = 0.15;

/**
 * Draw the lines of `panel` into `place` and return how to take them away. `view` remembers what the reader has hidden,
 * `choose(first, last)` is called with two bucket times that were drawn over.
 */
export function drawLines(place, panel, times, view, height, choose) {
  const chart = new Chart(panel, times, view);
  place.append(chart.plot, chart.legend);
  return chart.start(height, choose);
}

class Chart {
  constructor(panel, times, view) {
    Object.assign(this, { panel, times, view });
    this.buckets = panel.silent_until === null ? panel.times : [...panel.times, panel.silent_until];
    const tail = panel.times.findIndex((time) => panel.incomplete_from !== null && time >= panel.incomplete_from);
    this.tailIndex = tail < 0 ? Infinity : tail;
    this.isCompared = panel.lines.some((line) => line.before.length);
    this.isSplit = panel.lines.length > 1;
    this.plot = element("div", { class: "plot", role: "img", "aria-label": description(panel, times) });
    this.legend = element("div", { class: "legend" });
    this.fillLegend();
  }

  start(height, choose) {
    const { chart, takeAway } = placed(this.options(height, choose), this.data(), this.plot);
    this.uplot = chart;
    this.hideHidden();
    return takeAway;
  }

  // Each line is two series: what is complete, drawn solid, and from there on what is known so far, dashed. Those of the
  // period before come first, to lie below; of several lines only that of the one that is brought out is seen.
  data() {
    const { lines } = this.panel;
    const earlier = this.isCompared ? lines.map((line) => line.before) : [];
    const parts = lines.flatMap(({ values }) => [
      values.map((value, index) => (index < this.tailIndex ? value : null)),
      values.map((value, index) => (index >= this.tailIndex - 1 ? value : null)),
    ]);
    const padded = [...earlier, ...parts].map((part) => (part.length < this.buckets.length ? [...part, null] : part));
    return [this.buckets, ...padded];
  }

  options(height, choose) {
    const { panel, times, buckets } = this;
    const ink = this.ink = inkOf(this.plot);
    const whole = panel.lines.every(({ values }) => values.every((value) => Number.isInteger(value ?? 0)));
    const at = (index) => this.tell(index);
    const options = commonOptions({
      place: this.plot, height, times, buckets, by: panel.by, ink, whole, range: this.range, at, choose,
    });
    const earlier = this.isCompared ? panel.lines.map(() => this.seriesBefore()) : [];
    const lines = panel.lines.flatMap((_, index) => this.series(ink.color(`--line-${index + 1}`)));
    options.padding = [10, this.tailIndex === Infinity ? ROOM_FOR_HALF_A_LABEL : ROOM_FOR_SO_FAR, 0, 0];
    options.series = [{}, ...earlier, ...lines];
    options.hooks.draw = [(chart) => this.drawTarget(chart), (chart) => this.sayHowFar(chart)];
    return options;
  }

  // A target belongs to all lines together, so it is drawn where there is one.
  get target() {
    return this.panel.lines.length === 1 ? this.panel.target : null;
  }

  range = (_, least, greatest) => {
    const known = [least, greatest, this.target].filter((value) => value !== null && value !== undefined);
    if (least === null || least === undefined) return valueRange(true, null, null);
    return valueRange(this.panel.kind === "count", Math.min(...known), Math.max(...known));
  };

  series(stroke) {
    const only = this.panel.lines.length === 1;
    const width = (only ? 2 : 1.75) * (this.buckets.length < DENSE_FROM ? 1 : 0.6);
    const common = { stroke, width, spanGaps: false };
    const points = { show: false, size: 6, fill: stroke, filter: (chart, index) => lonely(chart.data[index]) };
    const fill = only ? (chart) => area(chart, stroke) : undefined;
    return [{ ...common, points, fill }, { ...common, points, dash: [3, 4] }];
  }

  seriesBefore() {
    const stroke = this.ink.color("--before");
    const points = { show: false, size: 4, fill: stroke, filter: (chart, index) => lonely(chart.data[index]) };
    const width = this.buckets.length < DENSE_FROM ? 1.5 : 0.6;
    return { stroke, width, spanGaps: false, points, alpha: this.isSplit ? 0 : 1 };
  }

  drawTarget(chart) {
    if (this.target === null) return;
    const { left, width } = chart.bbox;
    const { ctx } = chart;
    const thickness = Math.round(1.5 * uPlot.pxRatio);
    const y = Math.round(chart.valToPos(this.target, "y", true)) + (thickness % 2) / 2;
    ctx.save();
    ctx.strokeStyle = this.ink.color("--target");
    ctx.lineWidth = thickness;
    ctx.setLineDash([7, 5].map((length) => length * uPlot.pxRatio));
    ctx.beginPath();
    ctx.moveTo(left, y);
    ctx.lineTo(left + width, y);
    ctx.stroke();
    ctx.restore();
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
    const { lines, total, compare, unit } = this.panel;
    this.at = element("p", { class: "at" }, this.when = element("span"));
    this.amounts = lines.map(() => element("span", { class: "amount" }));
    this.earlier = element("span", { class: "amount" });
    this.whole = this.isSplit ? element("span", { class: "amount" }) : this.amounts[0];
    if (!this.isSplit || total) this.at.append(this.whole);
    if (this.isCompared) this.at.append(this.keyBefore = key("before", before(compare), this.earlier));
    if (this.isCompared) this.keyBefore.hidden = this.isSplit;
    if (this.target !== null) {
      this.at.append(key("target", "target", element("span", { class: "amount" }, quantity(this.target, unit))));
    }
    this.legend.append(this.at);
    if (this.isSplit) {
      const items = lines.map(({ label }, index) => element("li", {}, this.legendButton(label, index)));
      this.legend.append(element("ul", {}, ...items));
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

  seriesOf(line) {
    const count = this.panel.lines.length;
    return this.isCompared ? [line + 1, count + 2 * line + 1, count + 2 * line + 2] : [2 * line + 1, 2 * line + 2];
  }

  show(index, show) {
    for (const series of this.seriesOf(index)) this.uplot.setSeries(series, { show });
  }

  bringOut(focused) {
    this.panel.lines.forEach((_, index) => {
      const alpha = focused === null || focused === index ? 1 : FADED;
      for (const series of this.seriesOf(index)) this.uplot.series[series].alpha = alpha;
      if (this.isCompared) this.uplot.series[index + 1].alpha = focused === index ? 1 : 0;
    });
    this.focused = focused;
    if (this.isCompared) this.keyBefore.hidden = focused === null;
    this.uplot.redraw(false);
    this.tell(this.uplot.cursor.idx);
  }

  // Without a cursor the legend tells the last complete bucket that is drawn.
  tell(cursorIndex) {
    const { times, lines, total, by, unit } = this.panel;
    const last = Math.min(times.length, this.tailIndex) - 1;
    const index = cursorIndex ?? (last < 0 ? times.length - 1 : last);
    const soFar = index >= this.tailIndex && index < times.length ? ` ${SO_FAR}` : "";
    this.when.textContent = `${this.times.bucket(this.buckets[index], by)}${soFar}`;
    lines.forEach(({ values }, line) => {
      this.amounts[line].textContent = told(values[index], unit, false);
    });
    this.whole.textContent = told((total ?? lines[0].values)[index], unit, true);
    this.earlier.textContent = told(lines[this.focused ?? 0].before[index], unit, true);
  }
}

function key(name, words, amountOf) {
  return element("span", { class: "key" }, element("span", { class: `swatch ${name}` }), words, amountOf);
}

function longestAmount(values, unit) {
  const known = values.filter((value) => value !== null);
  return Math.max(...[Math.min(0, ...known), Math.max(0, ...known)].map((value) => amount(value, unit).length));
}

function told(value, unit, withUnit) {
  if (value === null || value === undefined) return withUnit ? "not known" : "–";
  return withUnit ? quantity(value, unit) : amount(value, unit);
}

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

function description({ title, unit, by, times, lines, headline }, told) {
  const what = `Line chart of ${title}${unit ? ` in ${unit}` : ""} by ${by}`;
  const span = `${told.bucket(times[0], by)} to ${told.bucket(times.at(-1), by)}`;
  const parts = lines.length > 1 ? `, ${lines.length} lines: ${lines.map(({ label }) => label).join(", ")}` : "";
  const last = headline ? `. The last complete ${by}, ${told.bucket(headline.time, by)}: ${quantity(headline.value, unit)}` : "";
  return `${what}, ${span}${parts}${last}. The figures are in the table below.`;
}
