// A dashboard: asks for what the address says, draws it, and asks again while somebody looks.

import { element } from "./elements.js";
import { Times } from "./format.js";
import { drawPanel } from "./panel.js";
import { chosen, listen, rangeOfBuckets, showChoice, showWindow, withRange } from "./range.js";

const REFRESH_EVERY = 5 * 60 * 1000;

const main = document.querySelector("main");
const controls = document.getElementById("choices");
const trouble = document.getElementById("trouble");
const sections = [...document.querySelectorAll(".panel")];
const views = sections.map(() => ({ hidden: new Set(), open: false }));

let answer = null;
let answeredAt = 0;
let asking = null;
let drawn = [];
let shownSearch = location.search;

async function load() {
  asking?.abort();
  const mine = asking = new AbortController();
  shownSearch = location.search;
  main.setAttribute("aria-busy", "true");
  try {
    show(await ask(mine.signal));
    trouble.hidden = true;
  } catch (error) {
    if (mine.signal.aborted) return;
    complain(error);
  }
  if (asking !== mine) return;
  main.setAttribute("aria-busy", "false");
}

async function ask(signal) {
  const response = await fetch(`${main.dataset.source}?${chosen()}`, { signal, cache: "no-store" }).catch((error) => {
    if (signal.aborted) throw error;
    throw new Error("Tallyline does not answer. Is it still running?");
  });
  const told = await response.json().catch(() => ({ error: `Tallyline answered ${response.status} and nothing more.` }));
  if (!response.ok) throw Object.assign(new Error(told.error), { isFinal: response.status < 500 });
  return told;
}

function complain({ message, isFinal = false }) {
  trouble.querySelector("p").textContent = message;
  trouble.querySelector("button").hidden = isFinal;
  trouble.hidden = false;
  main.classList.toggle("empty", answer === null);
}

function show(told) {
  answer = told;
  answeredAt = Date.now();
  main.classList.remove("empty");
  const times = new Times(main.dataset.zone, told.now);
  showWindow(controls, told, times);
  showFreshness(told.read, times);
  draw(times);
}

function draw(times) {
  for (const takeAway of drawn) takeAway();
  drawn = answer.panels.map((panel, index) => {
    const chooseBuckets = (first, last) => choose(withRange(rangeOfBuckets(first, last, panel.by, times)));
    return drawPanel(sections[index], panel, times, views[index], chooseBuckets);
  });
}

function showFreshness({ at, failing }, times) {
  const read = at === null ? "nothing read yet" : `last read ${times.moment(at)}`;
  const failed = failing.length
    ? element("a", { href: "/runs", class: "failing" }, `the last run of ${failing.join(", ")} failed`)
    : null;
  document.getElementById("freshness").replaceChildren(...[read, failed].filter((each) => each !== null));
}

function choose(choice) {
  history.pushState(null, "", `?${choice}`);
  showChoice(controls);
  load();
}

function refresh() {
  if (document.visibilityState === "visible" && Date.now() - answeredAt >= REFRESH_EVERY) load();
}

listen(controls, choose);
showChoice(controls);
addEventListener("popstate", () => {
  if (location.search === shownSearch) return;
  showChoice(controls);
  load();
});
trouble.querySelector("button").addEventListener("click", load);
document.addEventListener("visibilitychange", refresh);
setInterval(refresh, REFRESH_EVERY);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  if (answer) draw(new Times(main.dataset.zone, answer.now));
});
load();
