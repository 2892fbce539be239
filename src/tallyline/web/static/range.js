// The choice of a time range and a grain. It lives in the address, so that a link shows what its sender saw.

const KEYS = ["last", "since", "until", "by"];

/** The choice that the address holds, as parameters that can be changed. */
export function chosen() {
  const address = new URLSearchParams(location.search);
  return new URLSearchParams(KEYS.filter((key) => address.get(key)).map((key) => [key, address.get(key)]));
}

/** The same choice with another range: { last } or { since, until }. */
export function withRange(range) {
  const choice = chosen();
  for (const key of ["last", "since", "until"]) choice.delete(key);
  for (const [key, value] of Object.entries(range)) choice.set(key, value);
  return choice;
}

/** The same choice with another grain; "" leaves it to the panels. */
export function withGrain(by) {
  const choice = chosen();
  choice.delete("by");
  if (by) choice.set("by", by);
  return choice;
}

/** Let the controls choose: `choose` is called with the new choice. */
export function listen(controls, choose) {
  controls.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-last]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    choose(withRange({ last: link.dataset.last }));
  });
  controls.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const { from, to } = event.target.elements;
    choose(withRange({ since: from.value, until: laterDate(to.value, 0, 1) }));
  });
  controls.querySelector("select").addEventListener("change", (event) => choose(withGrain(event.target.value)));
}

/** Show the choice on the controls, and carry it along on the links to the other dashboards. */
export function showChoice(controls) {
  const choice = chosen();
  const last = choice.get("last") ?? (choice.has("since") ? "" : controls.dataset.defaultLast);
  for (const link of controls.querySelectorAll("a[data-last]")) {
    link.href = `?${withRange({ last: link.dataset.last })}`;
    if (link.dataset.last === last) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  controls.querySelector("select").value = choice.get("by") ?? "";
  for (const link of document.querySelectorAll("a.keeps-range")) link.search = choice.toString();
}

/** Show the window that the answer is about as whole days; the end of a window is not part of it. */
export function showWindow(controls, { since, until }, times) {
  const { from, to } = controls.querySelector("form").elements;
  from.value = times.isoDate(since);
  to.value = times.isoDate(until - 1);
}

/** The range from the bucket that begins at `first` to the end of the one that begins at `last`. */
export function rangeOfBuckets(first, last, grain, times) {
  if (grain === "hour") return { since: isoMoment(first), until: isoMoment(last + 3600) };
  const [months, days] = { week: [0, 7], month: [1, 0], quarter: [3, 0], year: [12, 0] }[grain] ?? [0, 1];
  return { since: times.isoDate(first), until: laterDate(times.isoDate(last), months, days) };
}

function laterDate(date, months, days) {
  const [year, month, day] = date.split("-").map(Number);
  return new Date(Date.UTC(year, month - 1 + months, day + days)).toISOString().slice(0, 10);
}

function isoMoment(seconds) {
  return new Date(seconds * 1000).toISOString().replace(":00.000Z", "Z");
}
