// What the charts have in common: a time axis in the business zone, a value axis, a cursor that all follow.

import { axisAmounts } from "./format.js";

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
const WEEK_STEPS = [1, 2, 4, 8, 13, 26, 52, 104, 260, 520];
const SPACE = 64;
const LINES_OF_VALUES = 4;
const ZERO_BELOW = 0.6;
const ROOM_ABOVE = 1.06;
const SHORTEST_DRAG = 8;

/** How long a bucket of that grain is, about. */
export const lengthOf = (grain) => ({ week: 7 * DAY, quarter: 3 * MONTH }[grain] ?? LEAST_STEP[grain]);

/** The colours and the font of what stands around a chart in `place`. */
export function inkOf(place) {
  const style = getComputedStyle(place);
  const color = (name) => style.getPropertyValue(name).trim();
  return { color, muted: color("--muted"), grid: color("--grid"), font: `11px ${style.fontFamily}` };
}

/** uPlot's options that every chart has; `at` is called with the index under the cursor, null where there is none. */
export function commonOptions({ place, height, times, buckets, by, ink, whole, range, at, choose }) {
  return {
    width: place.clientWidth || 300,
    height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), times.zone),
    legend: { show: false },
    scales: { x: { range: () => timeRange(buckets, by) }, y: { range } },
    axes: [by === "week" ? weekAxis(times, buckets, ink) : timeAxis(times, by, ink), valueAxis(whole, ink)],
    cursor: cursor(buckets),
    hooks: {
      setCursor: [(chart) => at(chart.cursor.idx)],
      setSelect: [(chart) => selected(chart, buckets, choose)],
    },
  };
}

/** Make the chart, and let it follow the width of its place; return it, and how to take it away. */
export function placed(options, data, place) {
  const chart = new uPlot(options, data, place);
  const observer = new ResizeObserver(() => {
    const width = place.clientWidth;
    if (width && width !== chart.width) chart.setSize({ width, height: chart.height });
  });
  observer.observe(place);
  const takeAway = () => {
    observer.disconnect();
    chart.destroy();
  };
  return { chart, takeAway };
}

/** Counts are drawn from zero; other kinds too, unless that would press them into a flat line. */
export function valueRange(isCount, least, greatest) {
  if (least === null || greatest === null || least === undefined) return [0, 1];
  const fromZero = isCount || least < greatest * ZERO_BELOW;
  if (fromZero && least >= 0) return greatest > 0 ? [0, greatest * ROOM_ABOVE] : [0, 1];
  const step = roundStep((greatest - least || Math.abs(greatest) || 1) / LINES_OF_VALUES);
  const bottom = Math.floor(least / step) * step;
  const top = Math.ceil(greatest / step) * step;
  return bottom < top ? [bottom, top] : [bottom - step, top + step];
}

export function scaledFont(font, pxRatio) {
  return font.replace(/^([\d.]+)px/, (_, size) => `${size * pxRatio}px`);
}

/** Weeks are told by the days on which they begin. */
function weekAxis(times, buckets, ink) {
  const every = (chart) => {
    const most = Math.max(2, Math.floor(chart.bbox.width / uPlot.pxRatio / SPACE));
    const step = WEEK_STEPS.find((weeks) => buckets.length / weeks <= most) ?? WEEK_STEPS.at(-1);
    return buckets.filter((_, index) => index % step === 0);
  };
  return { ...timeAxis(times, "week", ink), splits: every, values: (_, ticks) => times.axis(ticks, DAY) };
}

function timeAxis(times, by, ink) {
  return {
    stroke: ink.muted,
    font: ink.font,
    size: (_, labels) => (labels?.some((label) => label.includes("\n")) ? 40 : 26),
    gap: 6,
    space: SPACE,
    grid: { show: false },
    ticks: { stroke: ink.grid, width: 1, size: 5 },
    incrs: TIME_STEPS.filter((step) => step >= LEAST_STEP[by]),
    values: (_, ticks, axis, space, step) => times.axis(ticks, step),
  };
}

function valueAxis(whole, ink) {
  return {
    stroke: ink.muted,
    font: ink.font,
    size: (chart, labels) => axisWidth(chart, labels, ink.font),
    gap: 8,
    space: 36,
    grid: { stroke: ink.grid, width: 1 },
    ticks: { show: false },
    values: (_, ticks, axis, space, step) => axisAmounts(ticks, step),
    ...(whole ? { incrs: WHOLE_STEPS } : {}),
  };
}

function timeRange(buckets, by) {
  const [first, last] = [buckets[0], buckets.at(-1)];
  const room = first === last ? LEAST_STEP[by] : 0;
  return [first - room, last + room];
}

function cursor(buckets) {
  const moves = new Set(["mousemove", "mouseleave"]);
  return {
    y: false,
    move: (chart, left, top) => [left < 0 ? left : chart.valToPos(buckets[chart.posToIdx(left)], "x"), top],
    drag: { x: true, y: false, setScale: false },
    points: { size: 7 },
    sync: { key: "tallyline", setSeries: false, filters: { pub: (type) => moves.has(type) } },
  };
}

function selected(chart, buckets, choose) {
  const { left, width } = chart.select;
  if (width >= SHORTEST_DRAG) {
    const bucket = (position) => buckets[chart.posToIdx(position)];
    choose(bucket(left), bucket(left + width));
  }
  if (width) chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
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
