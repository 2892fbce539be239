// What several parts of the page say in the same words.

import { amount } from "./format.js";

export const SO_FAR = "so far";

const NOISE = 1e-9;

/** "a week before" */
export const before = (grain) => `${grain === "hour" ? "an" : "a"} ${grain} before`;

/** Whether a value reaches a target, and by how much it does or does not, in words. */
export function against(value, target, unit) {
  const isNoise = Math.abs(value - target) < NOISE * Math.abs(target);
  const distance = isNoise ? 0 : rounded(Math.abs(value - target));
  const reached = value >= target;
  const wanted = `target ${amount(target, unit)}${unit === "%" ? "%" : ""}`;
  if (distance === 0) return { reached: true, words: `on ${wanted}` };
  const points = unit === "%" ? ` point${distance === 1 ? "" : "s"}` : "";
  return { reached, words: `${amount(distance, unit)}${points} ${reached ? "above" : "below"} ${wanted}` };
}

/** To whole numbers, or two digits of what is smaller. */
function rounded(size) {
  return size >= 100 ? Math.round(size) : Number(size.toPrecision(Number.isInteger(size) ? 12 : 2));
}
