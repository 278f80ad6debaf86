// Durations over time: the darker (or, in the dark, brighter) a cell, the more spans.

const HEAT_LEFT = 64;
const HEAT_BOTTOM = 22;
const HEAT_TOP = 20;

function heatmapView() {
  const { heatmap, window } = doc;
  let current = null;
  let cell = null;
  const select = el("select", { "aria-label": "name of the spans", onchange: () => go({ view: "heatmap", name: nameKey(Number(select.value)) }) });
  for (const one of heatmap.names) {
    const target = nameTarget(one.name);
    select.append(el("option", { value: one.name }, `${nameText(one.name).slice(0, 80)}${target ? `  (${target.slice(0, 60)})` : ""}`));
  }
  const words = el("p", { class: "sum" });
  const note = el("p", { class: "hint" });
  const map = chart({ tabindex: "0", role: "application", "aria-roledescription": "heatmap", "aria-label": "durations over time; arrow keys move from cell to cell" },
    (width) => (width < 600 ? 320 : 440), (context, width, height) => current && drawHeat(context, width, height, current, cell));
  const show = (x, y, at) => {
    cell = at;
    map.repaint();
    if (!at) return hideTip();
    const [title, lines] = heatWords(current, at);
    return showTip(x, y, title, lines);
  };
  map.canvas.addEventListener("pointermove", (event) => show(event.clientX, event.clientY, heatCellAt(map.canvas, event, current)));
  map.canvas.addEventListener("pointerleave", () => show(0, 0, null));
  map.canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const from = cell || { column: 0, bin: current.low };
    cell = {
      column: Math.max(0, Math.min(window.columns - 1, from.column + step[0])),
      bin: Math.max(current.low, Math.min(current.high, from.bin + step[1])),
    };
    map.repaint();
    const [title, lines] = heatWords(current, cell);
    say(`${title}: ${lines.map(([label, value]) => `${label} ${value}`).join(", ")}`);
  });
  return {
    node: el("div", null, el("div", { class: "bar" }, el("label", null, "spans of ", select), words, heatLegend()),
      el("div", { class: "heat" }, map.canvas), note),
    show: (wanted) => {
      const name = findName(wanted.name);
      const found = heatmap.names.find((one) => one.name === name);
      current = readHeat(found || heatmap.names[0]);
      cell = null;
      select.value = String(current.name);
      words.textContent = `${plural(current.total, "span")}, p50 ${duration(current.p50)}, p95 ${duration(current.p95)} (of bins)`;
      note.textContent = name !== null && !found
        ? `${nameText(name)} has no map of its own: only the names with the most time have one. Here are all spans.`
        : `A column is ${duration((window.until_ns - window.from_ns) / window.columns)}; spans are where they started. Lines: p50 and p95 of each column.`;
      map.repaint();
    },
    paint: () => map.paint(),
  };
}

/** Lower end of a bin in nanoseconds. */
function binStart(bin) {
  return 2 ** (bin / doc.heatmap.bins_per_octave);
}

function readHeat(one) {
  const cells = new Map();
  const columns = Array.from({ length: doc.window.columns }, () => []);
  const all = new Map();
  let [low, high, most, total] = [Infinity, 0, 1, 0];
  for (let at = 0; at < one.cells.length; at += 3) {
    const [column, bin, number] = one.cells.slice(at, at + 3);
    cells.set(column * 1000 + bin, number);
    columns[column].push([bin, number]);
    all.set(bin, (all.get(bin) || 0) + number);
    low = Math.min(low, bin);
    high = Math.max(high, bin);
    most = Math.max(most, number);
    total += number;
  }
  if (low === Infinity) low = 0;
  const sorted = [...all].sort((a, b) => a[0] - b[0]);
  const at = (q) => binStart((binAt(sorted, q) || 0) + 0.5);
  return { name: one.name, cells, columns, low: Math.max(0, low - 1), high: high + 1, most, total, p50: at(0.5), p95: at(0.95) };
}

/** The bin of a percentile of sorted bins with counts. */
function binAt(bins, q) {
  const total = bins.reduce((sum, bin) => sum + bin[1], 0);
  let below = 0;
  for (const [bin, number] of bins) {
    below += number;
    if (below >= q * total) return bin;
  }
  return null;
}

function heatWords(heat, { column, bin }) {
  const { window } = doc;
  const wide = (window.until_ns - window.from_ns) / window.columns;
  const from = window.from_ns + column * wide;
  const number = heat.cells.get(column * 1000 + bin) || 0;
  const losses = bandsOf(window).filter((band) => band.x1 >= column / window.columns && band.x0 <= (column + 1) / window.columns);
  return [plural(number, "span"), [
    ["duration", `${duration(binStart(bin))} to ${duration(binStart(bin + 1))}`],
    ["started", `+${duration(from)} to +${duration(from + wide)}`],
    ["wall clock", wallClock(doc.run.started_unix_ns, from)],
    ["", losses.map((band) => band.label).join("; ")],
  ]];
}

function heatFrame(width, height, heat) {
  return {
    x: (share) => HEAT_LEFT + share * (width - HEAT_LEFT - 8),
    y: (bin) => height - HEAT_BOTTOM - ((bin - heat.low) / (heat.high + 1 - heat.low)) * (height - HEAT_BOTTOM - HEAT_TOP),
  };
}

function heatCellAt(canvas, event, heat) {
  const bounds = canvas.getBoundingClientRect();
  const share = (event.clientX - bounds.left - HEAT_LEFT) / (bounds.width - HEAT_LEFT - 8);
  const tall = bounds.height - HEAT_BOTTOM - HEAT_TOP;
  const up = (bounds.height - HEAT_BOTTOM - (event.clientY - bounds.top)) / tall;
  if (share < 0 || share >= 1 || up < 0 || up >= 1) return null;
  return { column: Math.floor(share * doc.window.columns), bin: heat.low + Math.floor(up * (heat.high + 1 - heat.low)) };
}

function drawHeat(context, width, height, heat, cell) {
  const { x, y } = heatFrame(width, height, heat);
  const { window } = doc;
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.fillStyle = colors.panel;
  context.fillRect(x(0), y(heat.high + 1), x(1) - x(0), y(heat.low) - y(heat.high + 1));
  drawHeatGrid(context, width, height, heat);
  drawHeatBands(context, heat, x, y);
  const wide = (x(1) - x(0)) / window.columns;
  for (const [key, number] of heat.cells) {
    const [column, bin] = [Math.floor(key / 1000), key % 1000];
    context.fillStyle = heatColor(Math.log1p(number) / Math.log1p(heat.most));
    context.fillRect(x(column / window.columns), y(bin + 1), wide + 0.3, y(bin) - y(bin + 1));
  }
  for (const [q, dash] of [[0.5, []], [0.95, [4, 3]]]) drawHeatLine(context, heat, x, y, q, dash);
  if (cell) {
    context.strokeStyle = colors.ink;
    context.lineWidth = 1.5;
    context.setLineDash([]);
    context.strokeRect(x(cell.column / window.columns), y(cell.bin + 1), wide, y(cell.bin) - y(cell.bin + 1));
  }
}

function drawHeatGrid(context, width, height, heat) {
  const { x, y } = heatFrame(width, height, heat);
  const { window } = doc;
  context.textAlign = "right";
  for (let power = 0; power < 19; power += 1) {
    const bin = Math.log2(10 ** power) * doc.heatmap.bins_per_octave;
    if (bin < heat.low || bin > heat.high + 1) continue;
    context.fillStyle = colors.line;
    context.fillRect(x(0), y(bin), x(1) - x(0), 1);
    context.fillStyle = colors.soft;
    context.fillText(tickLabel(10 ** power), HEAT_LEFT - 6, y(bin));
  }
  context.textAlign = "left";
  for (const ns of ticks(window.from_ns, window.until_ns, Math.max(2, Math.floor(width / 110)))) {
    const left = x((ns - window.from_ns) / (window.until_ns - window.from_ns));
    context.fillStyle = colors.soft;
    context.fillRect(left, height - HEAT_BOTTOM, 1, 5);
    const label = `+${tickLabel(ns)}`;
    if (left + context.measureText(label).width < width) context.fillText(label, left + 3, height - 8);
  }
}

/** Behind the cells: losses as stripes, marks as lines with their names. */
function drawHeatBands(context, heat, x, y) {
  const pattern = stripes(context, colors.bad);
  const [top, bottom] = [y(heat.high + 1), y(heat.low)];
  let free = -Infinity;
  for (const band of bandsOf(doc.window)) {
    const left = x(band.x0);
    const right = Math.max(x(band.x1), left + 2);
    context.globalAlpha = band.bad ? 0.6 : 1;
    context.fillStyle = band.bad ? pattern : colors.accent;
    context.fillRect(left, top, band.bad ? right - left : 1.5, bottom - top);
    context.globalAlpha = 1;
    const label = band.bad ? "! lost" : band.label.slice(0, 24);
    if (left < free) continue;
    context.fillStyle = band.bad ? colors.bad : colors.accent;
    context.fillText(label, Math.min(left, x(1) - context.measureText(label).width), HEAT_TOP - 10);
    free = left + context.measureText(label).width + 6;
  }
}

function drawHeatLine(context, heat, x, y, q, dash) {
  context.beginPath();
  let last = -2;
  heat.columns.forEach((bins, column) => {
    const bin = binAt(bins, q);
    if (bin === null) return;
    const [left, top] = [x((column + 0.5) / doc.window.columns), y(bin + 0.5)];
    if (column === last + 1) context.lineTo(left, top);
    else context.moveTo(left, top);
    last = column;
  });
  // On strong cells the line needs an edge of its own.
  context.strokeStyle = colors.panel;
  context.lineWidth = 4;
  context.stroke();
  context.strokeStyle = colors.ink;
  context.lineWidth = 1.6;
  context.setLineDash(dash);
  context.stroke();
  context.setLineDash([]);
}

function heatLegend() {
  return el("ul", { class: "legend" },
    el("li", null, el("span", { class: "key heat-key", "aria-hidden": "true" }), "few to many spans"),
    el("li", null, el("span", { class: "key line-key", "aria-hidden": "true" }), "p50"),
    el("li", null, el("span", { class: "key dash-key", "aria-hidden": "true" }), "p95"),
    doc.losses.length > 0 ? el("li", null, el("span", { class: "key loss-key", "aria-hidden": "true" }), "something was lost") : null);
}
