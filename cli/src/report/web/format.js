// Numbers and texts as people read them.

const UNITS = [[1e3, "µs"], [1e6, "ms"], [1e9, "s"]];

/** Nanoseconds: `2.02 ms`, `4m 02s`. */
function duration(ns) {
  if (ns === null || ns === undefined) return "–";
  const size = Math.abs(ns);
  const sign = ns < 0 ? "-" : "";
  if (size >= 59.995e9) {
    const seconds = Math.round(size / 1e9);
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor(seconds / 60) % 60;
    const two = (number) => String(number).padStart(2, "0");
    return sign + (hours > 0 ? `${hours}h ${two(minutes)}m` : `${minutes}m ${two(seconds % 60)}s`);
  }
  // Where two decimals round up to the next unit, it is the next unit.
  const unit = UNITS.find(([per]) => size < 999.995 * per) || UNITS[2];
  return `${sign}${(size / unit[0]).toFixed(2)} ${unit[1]}`;
}

/** Nanoseconds on an axis: no decimals that say nothing. */
function tickLabel(ns) {
  if (ns === 0) return "0";
  return duration(ns).replace(/\.?0+ /, " ");
}

const COUNT = new Intl.NumberFormat("en-US");

function count(number) {
  return COUNT.format(number);
}

function percent(share) {
  if (!Number.isFinite(share)) return "–";
  const value = share * 100;
  return `${value !== 0 && Math.abs(value) < 0.1 ? value.toFixed(2) : value.toFixed(1)}%`;
}

function plural(number, one, many) {
  return `${count(number)} ${number === 1 ? one : many || `${one}s`}`;
}

const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

/** Text of the profile with everything that would not be seen, or would turn the text, made visible. */
function visible(text) {
  return String(text).replace(UNSEEN, (character) => {
    const code = character.codePointAt(0);
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

/** The wall clock at a moment of the run. */
function wallClock(startedUnixNs, ns) {
  try {
    const moment = new Date(Number(BigInt(startedUnixNs) / 1000000n) + ns / 1e6);
    return moment.toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC");
  } catch {
    return "";
  }
}

/** Round moments for an axis from `from` to `until`, at most `most` of them. */
function ticks(from, until, most) {
  const span = until - from;
  if (!(span > 0)) return [from];
  const raw = span / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((times) => times * power).find((each) => each >= raw);
  const list = [];
  for (let at = Math.ceil(from / step) * step; at <= until; at += step) list.push(at);
  return list;
}
