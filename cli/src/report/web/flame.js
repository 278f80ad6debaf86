// The flame graph: all paths with the longest first, and one name with its callers and callees.

const WEIGHTS = [
  ["self", "self time", "a box is as wide as the self times in it: nothing is counted twice"],
  ["busy", "busy time", "a box is as wide as the time in it that was not waited"],
  ["wall", "wall time", "a box is as wide as its durations; children that ran side by side make their parent wider"],
  ["calls", "calls", "a box is as wide as the number of spans in it"],
];

let flameTree = null;

/** Parents, children, and what each node has of each weight. */
function makeFlameTree() {
  const { name, depth, calls, self_ns: self, busy_ns: busy, wall_ns: wall } = doc.flame;
  const size = name.length;
  const parent = new Int32Array(size).fill(-1);
  const children = Array.from({ length: size }, () => []);
  const roots = [];
  const path = [];
  for (let at = 0; at < size; at += 1) {
    path.length = depth[at];
    if (depth[at] > 0) {
      parent[at] = path[depth[at] - 1];
      children[parent[at]].push(at);
    } else {
      roots.push(at);
    }
    path.push(at);
  }
  const sums = { self, busy, wall, calls };
  const all = {};
  const own = {};
  for (const [weight, list] of Object.entries(sums)) {
    all[weight] = new Float64Array(size);
    own[weight] = new Float64Array(size);
    // Self times and calls add up; busy and wall times hold those of children, unless they ran side by side.
    const adds = weight === "self" || weight === "calls";
    // A node stands before its children.
    for (let at = size - 1; at >= 0; at -= 1) {
      const below = children[at].reduce((sum, child) => sum + all[weight][child], 0);
      all[weight][at] = adds ? list[at] + below : Math.max(list[at], below);
      own[weight][at] = all[weight][at] - below;
    }
  }
  const total = {};
  for (const weight of Object.keys(all)) total[weight] = roots.reduce((sum, at) => sum + all[weight][at], 0);
  flameTree = { parent, children, roots, all, own, total };
}

function emptyBoxes() {
  return { x0: [], x1: [], row: [], name: [], hue: [], mark: [], node: [], share: [] };
}

function pushBox(boxes, x0, x1, row, name, bad, node, share) {
  boxes.x0.push(x0);
  boxes.x1.push(x1);
  boxes.row.push(row);
  boxes.name.push(name);
  boxes.hue.push(nameHue(name));
  boxes.mark.push(name < 0 ? 1 : bad ? 2 : 0);
  boxes.node.push(node);
  boxes.share.push(share);
}

/** Nodes with `children`, `value`, `name`, `node`, laid out from left to right, the longest first. */
function layOut(tops, valueOf, childrenOf, nameOf, badOf) {
  const boxes = emptyBoxes();
  const total = tops.reduce((sum, at) => sum + valueOf(at), 0);
  if (!(total > 0)) return boxes;
  const stack = [];
  const place = (list, from, row) => {
    let x = from;
    for (const at of [...list].sort((a, b) => (nameOf(a) < 0) - (nameOf(b) < 0) || valueOf(b) - valueOf(a))) {
      const wide = valueOf(at) / total;
      if (wide > 1e-7) {
        pushBox(boxes, x, x + wide, row, nameOf(at), badOf(at), at, valueOf(at) / total);
        stack.push([at, x, row + 1]);
      }
      x += wide;
    }
  };
  place(tops, 0, 0);
  while (stack.length > 0) {
    const [at, from, row] = stack.pop();
    place(childrenOf(at), from, row);
  }
  return boxes;
}

function flameBoxes(weight) {
  const { children, roots, all } = flameTree;
  return layOut(roots, (at) => all[weight][at], (at) => children[at], (at) => doc.flame.name[at],
    (at) => doc.flame.errors[at] > 0);
}

function flameLines(node, weight, share) {
  const { calls, errors, wall_ns: wall } = doc.flame;
  const { all, own } = flameTree;
  const word = WEIGHTS.find(([key]) => key === weight)[1];
  return [
    [word, `${weighed(all[weight][node])}, ${percent(share)} of all`],
    ["of its own", weighed(own[weight][node])],
    ["calls", count(calls[node])],
    ["errors", errors[node] > 0 ? `! ${count(errors[node])}` : ""],
    ["durations", duration(wall[node])],
    ["path", flamePath(node)],
    ...nameLines(doc.flame.name[node]),
  ];
}

/** A value of the chosen weight. */
function weighed(value) {
  return weight === "calls" ? count(value) : duration(value);
}

function flamePath(node) {
  const path = [];
  for (let at = flameTree.parent[node]; at >= 0; at = flameTree.parent[at]) path.unshift(nameText(doc.flame.name[at]));
  const shown = path.length > 8 ? [...path.slice(0, 3), `… ${path.length - 6} more …`, ...path.slice(-3)] : path;
  return shown.join(" › ");
}

/** Search box and the sentence that says what was found. */
function searchBox(icicles) {
  const found = el("output", { class: "found" });
  const input = el("input", {
    type: "search",
    class: "search",
    placeholder: "search names  ( / )",
    "aria-label": "search names in the chart",
    oninput: () => {
      const results = icicles().map((icicle) => icicle.search(input.value));
      const boxes = results.reduce((sum, result) => sum + result.found, 0);
      const share = Math.max(...results.map((result) => result.share));
      found.textContent = input.value === "" ? "" : `${plural(boxes, "box", "boxes")}, ${percent(share)} of the width`;
      remember({ q: input.value });
    },
  });
  return { node: el("span", { class: "searching" }, input, found), input };
}

/** What the focused box says, beneath the chart. */
function detailBox() {
  const node = el("div", { class: "detail", "aria-live": "off" },
    el("p", { class: "hint" }, "Click a box for details, double-click to zoom. Keys: arrows, Enter, + −, Esc; ? for help."));
  const show = (title, lines, ...more) => {
    const list = el("dl");
    for (const [label, value] of lines) {
      if (value === "" || value === null || value === undefined) continue;
      list.append(el("dt", null, label || "what"), el("dd", null, el("bdi", null, value)));
    }
    node.replaceChildren(el("h3", null, el("bdi", null, title)), list, ...more);
  };
  return { node, show };
}

let weight = "self";

function weightChoice(onChange) {
  const options = WEIGHTS.filter(([key]) => key !== "busy" || flameTree.total.busy > 0);
  return choice("what widths mean", options, weight, (chosen) => {
    weight = chosen;
    remember({ weight });
    onChange();
  });
}

function takeWeight(wanted) {
  if (WEIGHTS.some(([key]) => key === wanted)) weight = wanted;
  if (weight === "busy" && !(flameTree.total.busy > 0)) weight = "self";
}

/** The view of all paths. */
function flameView() {
  let boxes = emptyBoxes();
  const detail = detailBox();
  const unzoom = el("button", { type: "button", hidden: true, onclick: () => icicle.zoom(0, 1) }, "zoom out (Esc)");
  const icicle = new Icicle({
    label: "flame graph: paths of spans, the widest first. Arrow keys move, Enter zooms.",
    key: "zoom",
    describe: (box) => [nameText(boxes.name[box]), flameLines(boxes.node[box], weight, boxes.share[box])],
    onZoom: (zoomed) => { unzoom.hidden = !zoomed; },
    onFocus: (box, title, lines) => detail.show(title, lines, el("a", {
      class: "button",
      href: address({ view: "sandwich", name: nameKey(boxes.name[box]), weight }),
    }, "callers and callees")),
  });
  const search = searchBox(() => [icicle]);
  const bar = el("div", { class: "bar" });
  const all = el("p", { class: "sum" });
  const fill = () => {
    boxes = flameBoxes(weight);
    icicle.set(boxes);
    all.textContent = `all: ${weighed(flameTree.total[weight])}, ${plural(boxes.x0.length, "box", "boxes")}`;
    if (search.input.value) search.input.dispatchEvent(new Event("input"));
  };
  const node = el("div", null, bar, icicle.node, detail.node);
  return {
    node,
    search: search.input,
    show: (wanted) => {
      takeWeight(wanted.weight || doc.flame.weight);
      bar.replaceChildren(weightChoice(fill), search.node, unzoom, all);
      search.input.value = wanted.q || "";
      fill();
      icicle.zoomAs(wanted);
    },
    paint: () => icicle.chart.paint(),
  };
}
