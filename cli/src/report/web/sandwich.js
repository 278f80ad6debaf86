// One name with all its callers above and all its callees below, wherever it stands.

/** The number that the tree has for a name: there, names of several targets are one. */
function nameInFlame(number) {
  if (number === null || doc.flame.name.includes(number)) return number;
  const found = doc.flame.name.find((other) => other >= 0 && number >= 0 && doc.names[other].name === doc.names[number].name);
  return found === undefined ? null : found;
}

/** Nodes of the name that are not inside another node of it: each of their times counts once. */
function outermost(name) {
  const { parent } = flameTree;
  const found = [];
  for (let at = 0; at < parent.length; at += 1) {
    if (doc.flame.name[at] !== name) continue;
    let up = parent[at];
    while (up >= 0 && doc.flame.name[up] !== name) up = parent[up];
    if (up < 0) found.push(at);
  }
  return found;
}

/** Merged nodes: `name`, `value` by weight, `calls`, `errors`, and `below` by name. */
function merged(name) {
  return { name, value: 0, calls: 0, errors: 0, below: new Map() };
}

function under(node, name) {
  if (!node.below.has(name)) node.below.set(name, merged(name));
  return node.below.get(name);
}

function addNode(into, at, value) {
  into.value += value;
  into.calls += doc.flame.calls[at];
  into.errors += doc.flame.errors[at];
}

function calleesOf(name) {
  const top = merged(name);
  for (const start of outermost(name)) {
    addNode(top, start, flameTree.all[weight][start]);
    const stack = [[start, top]];
    while (stack.length > 0) {
      const [at, into] = stack.pop();
      for (const child of flameTree.children[at]) {
        const next = under(into, doc.flame.name[child]);
        addNode(next, child, flameTree.all[weight][child]);
        stack.push([child, next]);
      }
    }
  }
  return top;
}

function callersOf(name) {
  const top = merged(name);
  for (const start of outermost(name)) {
    const value = flameTree.all[weight][start];
    addNode(top, start, value);
    let into = top;
    for (let up = flameTree.parent[start]; up >= 0; up = flameTree.parent[up]) {
      into = under(into, doc.flame.name[up]);
      // What a caller waited in this name for, not all that it did.
      into.value += value;
      into.calls += doc.flame.calls[start];
    }
  }
  return top;
}

function sandwichBoxes(top) {
  return layOut([top], (node) => node.value, (node) => [...node.below.values()], (node) => node.name,
    (node) => node.errors > 0);
}

/** Self and total of each name, from the tree. */
function nameSums() {
  const sums = new Map();
  for (let at = 0; at < doc.flame.name.length; at += 1) {
    const name = doc.flame.name[at];
    if (!sums.has(name)) sums.set(name, { name, self: 0, total: 0, calls: 0 });
    const sum = sums.get(name);
    sum.self += flameTree.own[weight][at];
    sum.calls += doc.flame.calls[at];
  }
  for (const sum of sums.values()) {
    sum.total = outermost(sum.name).reduce((total, at) => total + flameTree.all[weight][at], 0);
  }
  return [...sums.values()];
}

function sandwichView() {
  const shown = { name: null, callers: emptyBoxes(), callees: emptyBoxes() };
  const detail = detailBox();
  const make = (which, label, upward) => {
    const icicle = new Icicle({
      key: which,
      label,
      upward,
      describe: (box) => {
        const node = shown[which].node[box];
        const word = WEIGHTS.find(([key]) => key === weight)[1];
        const whole = shown[which].node[0].value;
        return [nameText(node.name), [
          [word, `${weighed(node.value)}, ${percent(node.value / whole)} of this name`],
          ["calls", count(node.calls)],
          ["errors", node.errors > 0 ? `! ${count(node.errors)}` : ""],
          ...nameLines(node.name),
        ]];
      },
      onFocus: (box, title, lines) => {
        const { name } = shown[which].node[box];
        detail.show(title, lines, el("a", { class: "button", href: address({ view: "sandwich", name: nameKey(name), weight }) },
          "its callers and callees"));
      },
      });
    return icicle;
  };
  const callers = make("callers", "callers: who the time was spent for. Arrow keys move, Enter zooms.", true);
  const callees = make("callees", "callees: where the time was spent. Arrow keys move, Enter zooms.", false);
  const search = searchBox(() => [callers, callees]);
  const heading = el("h2");
  const names = el("div", { class: "picker" });
  const bar = el("div", { class: "bar" });
  const charts = el("div", { class: "wide" }, heading, el("h3", null, "callers ↑"), callers.node,
    el("h3", null, "callees ↓"), callees.node, detail.node);
  const fill = () => {
    const rows = nameSums();
    if (shown.name === null) {
      const first = rows.filter((row) => row.name >= 0).sort((a, b) => b.self - a.self)[0];
      shown.name = first ? first.name : null;
    }
    names.replaceChildren(namesTable(rows, shown.name));
    heading.replaceChildren(shown.name === null ? "no spans" : nameCell(shown.name));
    if (shown.name === null) return;
    shown.callers = sandwichBoxes(callersOf(shown.name));
    shown.callees = sandwichBoxes(calleesOf(shown.name));
    callers.set(shown.callers);
    callees.set(shown.callees);
    if (search.input.value) search.input.dispatchEvent(new Event("input"));
  };
  return {
    node: el("div", null, bar, el("div", { class: "split" }, names, charts)),
    search: search.input,
    show: (wanted) => {
      takeWeight(wanted.weight || doc.flame.weight);
      shown.name = nameInFlame(findName(wanted.name));
      bar.replaceChildren(weightChoice(fill), search.node);
      search.input.value = wanted.q || "";
      fill();
      callers.zoomAs(wanted);
      callees.zoomAs(wanted);
    },
    paint: () => {
      callers.chart.paint();
      callees.chart.paint();
    },
  };
}

function namesTable(rows, chosen) {
  const word = WEIGHTS.find(([key]) => key === weight)[1];
  return table({
    label: `names by ${word}`,
    rows,
    sort: "self",
    filter: (row) => `${nameTarget(row.name)} ${nameText(row.name)}`,
    current: (row) => row.name === chosen,
    columns: [
      {
        key: "name",
        title: "span",
        value: (row) => nameText(row.name),
        cell: (row) => el("a", { href: address({ view: "sandwich", name: nameKey(row.name), weight }) }, nameCell(row.name)),
      },
      { key: "self", title: "self", help: "without its callees", number: true, value: (row) => row.self, cell: (row) => weighed(row.self) },
      { key: "total", title: "total", help: "with its callees; recursion counts once", number: true, value: (row) => row.total, cell: (row) => weighed(row.total) },
    ],
  });
}
