// Numbers and times as people read them. Times are told in the business zone, whatever the browser's own is.

const CURRENCIES = new Set(Intl.supportedValuesOf("currency"));
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MONTH = 30 * DAY;
const YEAR = 365 * DAY;
const THOUSANDS = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]];
const COMPACT_FROM = 1e6;
const MOST_PER_CENT = 999;
const MINUS = "−";
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const formatters = new Map();

export const isMoney = (unit) => CURRENCIES.has(unit);

/** A number as it stands in a text: 1,234 or 12.35, and for money 12.30. */
export function amount(value, unit = "") {
  const size = Math.abs(value);
  const digits = isMoney(unit) ? moneyDigits(value) : digitsOf(size);
  return numeral(value, digits, unit);
}

/** A number and its unit in one text: "1,234 users", "$12.30", "4.2%". */
export function quantity(value, unit) {
  return `${amount(value, unit)}${tail(unit)}`;
}

/** The large number of a card: as `amount` up to a million, 1.23M from there on. */
export function headlineAmount(value, unit) {
  if (Math.abs(value) < COMPACT_FROM) return amount(value, unit);
  return numeral(value, { notation: "compact", maximumFractionDigits: 2 }, unit);
}

/** A number with nothing rounded away but noise. */
export function exact(value) {
  return numeral(value, { maximumSignificantDigits: 12 });
}

/** The numbers on an axis whose ticks are `step` apart: 0, 500, 1k, 1.5k. */
export function axisAmounts(values, step) {
  return values.map((value) => {
    const [divisor, suffix] = THOUSANDS.find(([size]) => Math.abs(value) >= size) ?? [1, ""];
    return `${numeral(value / divisor, { maximumFractionDigits: decimals(step / divisor) })}${suffix}`;
  });
}

/** A change as a share: "+12%", "−3.4%", "±0%". */
export function change(share) {
  const size = Math.abs(share) * 100;
  const shown = size >= 10 ? Math.round(size) : Math.round(size * 10) / 10;
  if (shown === 0) return "±0%";
  const sign = share < 0 ? MINUS : "+";
  return shown > MOST_PER_CENT ? `more than ${sign}${MOST_PER_CENT}%` : `${sign}${shown}%`;
}

/** How old something is: "12 min old", "1 hour old", "3 days old". */
export function age(seconds) {
  if (seconds < MINUTE) return "just read";
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min old`;
  if (seconds < 2 * DAY) return counted(Math.floor(seconds / HOUR), "hour");
  return counted(Math.floor(seconds / DAY), "day");
}

function counted(count, what) {
  return `${count.toLocaleString("en-US")} ${what}${count === 1 ? "" : "s"} old`;
}

/** What follows a number of that unit: nothing for money, no space before a per cent sign. */
export function tail(unit) {
  if (!unit || isMoney(unit)) return "";
  return unit === "%" ? "%" : `\u00a0${unit}`;
}

/** Tells times in `zone`; a year is named where it is not the one of `now`. Times are seconds since 1970. */
export class Times {
  #parts;

  constructor(zone, now) {
    this.zone = zone;
    this.now = now;
    this.#parts = new Intl.DateTimeFormat("en-US", {
      timeZone: zone, calendar: "gregory", hourCycle: "h23", weekday: "short",
      day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit",
    });
    this.year = this.parts(now).year;
  }

  parts(seconds) {
    return Object.fromEntries(this.#parts.formatToParts(seconds * 1000).map(({ type, value }) => [type, value]));
  }

  /** The name of the bucket that begins then: "Sun 22 Nov", "Sun 22 Nov, 14:00", "week of 16 Nov", "Nov 2026". */
  bucket(seconds, grain) {
    const at = this.parts(seconds);
    switch (grain) {
      case "hour": return this.moment(seconds);
      case "week": return `week of ${this.day({ ...at, weekday: "" }).trim()}`;
      case "month": return `${at.month} ${at.year}`;
      case "quarter": return `Q${Math.floor(this.monthIndex(seconds) / 3) + 1} ${at.year}`;
      case "year": return at.year;
      default: return this.day(at);
    }
  }

  moment(seconds) {
    const at = this.parts(seconds);
    return `${this.day(at)}, ${at.hour}:${at.minute}`;
  }

  date(seconds) {
    const { day, month, year } = this.parts(seconds);
    return `${day} ${month}${year === this.year ? "" : ` ${year}`}`;
  }

  day({ weekday, day, month, year }) {
    return `${weekday} ${day} ${month}${year === this.year ? "" : ` ${year}`}`;
  }

  /** The date as an address has it: 2026-11-22. */
  isoDate(seconds) {
    const { year, day } = this.parts(seconds);
    return `${year}-${padded(this.monthIndex(seconds) + 1)}-${padded(day)}`;
  }

  monthIndex(seconds) {
    return MONTHS.indexOf(this.parts(seconds).month);
  }

  /** The labels of a time axis whose ticks are `step` seconds apart; a second line says what changes more slowly. */
  axis(ticks, step) {
    let before = {};
    return ticks.map((tick) => {
      const at = this.parts(tick);
      const label = axisLabel(at, before, step, this.year);
      before = at;
      return label;
    });
  }
}

function axisLabel(at, before, step, thisYear) {
  const date = `${at.day} ${at.month}`;
  if (step < DAY) {
    const dateBefore = `${before.day} ${before.month}`;
    return `${at.hour}:${at.minute}${date === dateBefore ? "" : `\n${date}`}`;
  }
  if (step >= YEAR) return at.year;
  const isNewYear = at.year !== before.year && (before.year !== undefined || at.year !== thisYear || step >= MONTH);
  return `${step < MONTH ? date : at.month}${isNewYear ? `\n${at.year}` : ""}`;
}

function numeral(value, options, unit = "") {
  const money = isMoney(unit) ? { style: "currency", currency: unit } : {};
  const text = formatter({ ...money, ...options }).format(value);
  return text.replace("-", MINUS).replace("K", isMoney(unit) ? "K" : "k");
}

function formatter(options) {
  const key = JSON.stringify(options);
  if (!formatters.has(key)) formatters.set(key, new Intl.NumberFormat("en-US", options));
  return formatters.get(key);
}

function digitsOf(size) {
  if (size < 1) return { maximumSignificantDigits: 3 };
  return { maximumFractionDigits: size >= 1000 ? 0 : size >= 100 ? 1 : 2 };
}

function moneyDigits(value) {
  const digits = Math.abs(value) >= 1000 || Number.isInteger(value) ? 0 : 2;
  return { minimumFractionDigits: digits, maximumFractionDigits: digits };
}

/** How many decimals the first significant digit of `size` needs: 0 for 20, 1 for 0.5, and 1 for 2.5. */
function decimals(size) {
  let digits = Math.max(0, -Math.floor(Math.log10(size)));
  while (digits < 12 && Math.abs(size * 10 ** digits - Math.round(size * 10 ** digits)) > 1e-6) digits += 1;
  return digits;
}

function padded(number) {
  return String(number).padStart(2, "0");
}
