// The longest spans of each part of the run, in the order of time.

/** A row for each span: children under their parents, and whole trees where they are in nobody's way. */
function timelineRows(timeline) {
  const size = timeline.start_ns.length;
  const top = new Int32Array(size);
  const rows = new Int32Array(size);
  const trees = new Map();
  for (let at = 0; at < size; at += 1) {
    const parent = timeline.parent[at];
    top[at] = parent >= 0 ? top[parent] : at;
    if (!trees.has(top[at])) trees.set(top[at], []);
    const ends = trees.get(top[at]);
    let row = parent >= 0 ? rows[parent] + 1 : 0;
    while (row < ends.length && ends[row] > timeline.start_ns[at]) row += 1;
    ends[row] = timeline.start_ns[at] + timeline.duration_ns[at];
    rows[at] = row;
  }
  const taken = [];
  const shift = new Map();
  for (const [root, ends] of trees) {
    const start = timeline.start_ns[root];
    let first = 0;
    for (let row = 0; row < ends.length; row += 1) {
      if ((taken[first + row] || 0) > start) {
        first += row + 1;
        row = -1;
      }
    }
    ends.forEach((end, row) => { taken[first + row] = end; });
    shift.set(root, first);
  }
  return rows.map((row, at) => row + shift.get(top[at]));
}

/** Losses and marks as windows from 0 to 1. */
function bandsOf(window) {
  const length = window.until_ns - window.from_ns;
  const scale = (ns) => Math.max(0, Math.min(1, (ns - window.from_ns) / length));
  return [
    ...doc.losses.map((loss) => ({ x0: scale(loss.from_ns), x1: scale(loss.to_ns), bad: true, label: lossWords(loss) })),
    ...doc.marks.map((mark) => ({ x0: scale(mark.at_ns), x1: scale(mark.until_ns || mark.at_ns), bad: false, label: visible(mark.label) })),
  ];
}

function timelineView() {
  const timeline = doc.timeline;
  const { window } = doc;
  const length = window.until_ns - window.from_ns;
  const rows = timelineRows(timeline);
  const scale = (ns) => Math.max(0, Math.min(1, (ns - window.from_ns) / length));
  const boxes = emptyBoxes();
  timeline.start_ns.forEach((start, at) => {
    pushBox(boxes, scale(start), scale(start + timeline.duration_ns[at]), rows[at], timeline.name[at],
      timeline.status[at] > 0, at, timeline.duration_ns[at] / length);
  });
  const describe = (at) => [nameText(timeline.name[at]), [
    ["duration", duration(timeline.duration_ns[at])],
    ["busy", timeline.busy_ns[at] >= 0 ? `${duration(timeline.busy_ns[at])}, ${percent(timeline.busy_ns[at] / Math.max(1, timeline.duration_ns[at]))}` : ""],
    ["starts at", `+${duration(timeline.start_ns[at])}`],
    ["thread", visible(timeline.threads[timeline.thread[at]])],
    ["status", timeline.status[at] > 0 ? ["", "! error", "! panicked"][timeline.status[at]] : ""],
    ["id", timeline.id[at]],
    ...nameLines(timeline.name[at]),
  ]];
  const detail = detailBox();
  const unzoom = el("button", { type: "button", hidden: true, onclick: () => icicle.zoom(0, 1) }, "zoom out (Esc)");
  const icicle = new Icicle({
    label: "spans in the order of time. Arrow keys move, + and - zoom.",
    key: "zoom",
    describe,
    axis: (from, until, most) => ticks(window.from_ns + from * length, window.from_ns + until * length, most)
      .map((ns) => [(ns - window.from_ns) / length, `+${tickLabel(ns)}`]),
    onZoom: (zoomed) => { unzoom.hidden = !zoomed; },
    onFocus: (at, title, lines) => {
      const trace = doc.traces.find((one) => one.rows.some((row) => row.id === timeline.id[at]));
      const links = trace ? [el("a", { class: "button", href: address({ view: "trace", id: trace.id }) }, "its trace")] : [];
      detail.show(title, lines, ...links);
    },
  });
  icicle.set(boxes);
  icicle.bands = bandsOf(window);
  const search = searchBox(() => [icicle]);
  const sum = el("p", { class: "sum" }, timeline.id.length < timeline.of
    ? `${count(timeline.id.length)} of ${count(timeline.of)} spans: the longest of each part of the run`
    : `all ${plural(timeline.of, "span")}`);
  return {
    node: el("div", null, el("div", { class: "bar" }, search.node, unzoom, sum), icicle.node, detail.node),
    search: search.input,
    show: (wanted) => {
      search.input.value = wanted.q || "";
      if (wanted.q) search.input.dispatchEvent(new Event("input"));
      icicle.zoomAs(wanted);
      icicle.chart.repaint();
    },
    paint: () => icicle.chart.paint(),
  };
}
