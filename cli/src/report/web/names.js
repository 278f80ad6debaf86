// The names of spans: numbers in the data, texts and colours on the page.

let doc = null;

const SPECIAL = {
  "-1": ["(pruned)", "paths too small to be shown alone, put together"],
  "-2": ["(parent not recorded)", "spans whose parent is not in the profile"],
  "-3": ["(others)", "more names or paths than the page tells apart"],
  "-4": ["all spans", "all names together"],
};

/** A name, marked if these are its spans that live long. */
function nameLabel(name) {
  return name.long ? `${name.name} ⟳` : name.name;
}

function nameText(number) {
  const special = SPECIAL[number];
  if (special) return special[0];
  const name = doc.names[number];
  return name ? visible(nameLabel(name)) : "(unknown)";
}

function nameTarget(number) {
  const name = doc.names[number];
  return name ? visible(name.target) : "";
}

/** What more is known of a name, in lines. */
function nameLines(number) {
  const special = SPECIAL[number];
  if (special) return [["", special[1]]];
  const name = doc.names[number];
  if (!name) return [];
  const lines = [["target", visible(name.target)], ["level", visible(name.level)]];
  if (name.place) lines.push(["source", visible(name.place)]);
  if (name.long) lines.push(["⟳", "lives long: each time it was entered counts"]);
  return lines;
}

const hues = new Map();

/** Hues far from each other for the names with the most time; the same in all views. */
function giveHues() {
  const weight = new Map();
  doc.flame.name.forEach((name, at) => {
    weight.set(name, (weight.get(name) || 0) + doc.flame.self_ns[at]);
  });
  [...weight.keys()]
    .filter((name) => name >= 0)
    .sort((a, b) => weight.get(b) - weight.get(a) || a - b)
    .forEach((name, rank) => hues.set(name, Math.round(55 + rank * 137.508) % 360));
}

function nameHue(number) {
  if (number < 0) return null;
  if (!hues.has(number)) hues.set(number, (number * 137.508) % 360);
  return hues.get(number);
}

/** The first name with this text; `target::name` finds one of several. */
function findName(text) {
  if (text === undefined || text === null) return null;
  if (/^-[1-4]$/.test(text)) return Number(text);
  const exact = doc.names.findIndex((name) => nameLabel(name) === text);
  if (exact >= 0) return exact;
  const full = doc.names.findIndex((name) => `${name.target}::${nameLabel(name)}` === text);
  return full >= 0 ? full : null;
}

/** What an address calls a name. */
function nameKey(number) {
  if (number < 0) return String(number);
  const name = doc.names[number];
  const label = nameLabel(name);
  const first = doc.names.findIndex((other) => nameLabel(other) === label);
  return first === number ? label : `${name.target}::${label}`;
}

/** A name in a table or a list: a spot of its colour, the name, its target. */
function nameCell(number) {
  const spot = el("span", { class: "spot", "aria-hidden": "true" });
  spot.dataset.name = number;
  spot.style.background = boxColor(nameHue(number));
  const cell = el("span", { class: "name", title: `${nameTarget(number)} ${nameText(number)}` }, spot,
    el("bdi", { class: "label" }, nameText(number)));
  const target = nameTarget(number);
  if (target) cell.append(el("bdi", { class: "target" }, target));
  return cell;
}

function recolorSpots() {
  for (const spot of document.querySelectorAll(".spot[data-name]")) {
    spot.style.background = boxColor(nameHue(Number(spot.dataset.name)));
  }
}
