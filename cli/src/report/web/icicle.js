// Boxes in rows on a canvas: the flame graph, the time order and the sandwich draw with this.
//
// Boxes of a row are sorted and do not overlap, so that what is visible is found by halving, and no
// more is drawn than there are pixels: a hundred thousand boxes cost as much as a screen full.

const ROW = 19;

class Icicle {
  /**
   * `options`: `label` for those who do not see it, `describe(box)` gives title and lines,
   * `axis(from, until, most)` gives ticks, `upward` puts the first row below.
   */
  constructor(options) {
    this.options = options;
    this.from = 0;
    this.until = 1;
    this.focus = -1;
    this.match = null;
    this.bands = [];
    this.set({ x0: [], x1: [], row: [], name: [], hue: [], mark: [] });
    this.chart = chart(
      { tabindex: "0", role: "application", "aria-roledescription": "chart", "aria-label": options.label },
      () => this.height(),
      (context, width) => this.draw(context, width),
    );
    this.canvas = this.chart.canvas;
    this.node = el("div", { class: "icicle" }, this.canvas);
    listenTo(this);
  }

  /** `boxes` are lists side by side: x0, x1 from 0 to 1, row, name, hue, and mark (0, 1 striped, 2 bad). */
  set(boxes) {
    this.boxes = boxes;
    const rows = [];
    for (let box = 0; box < boxes.x0.length; box += 1) {
      (rows[boxes.row[box]] ||= []).push(box);
    }
    this.rows = Array.from(rows, (row) => (row || []).sort((a, b) => boxes.x0[a] - boxes.x0[b]));
    this.focus = -1;
    this.match = null;
    if (this.chart) this.chart.repaint();
  }

  top() {
    return this.options.axis ? 18 : 0;
  }

  height() {
    return this.top() + Math.max(1, this.rows.length) * ROW + 1;
  }

  rowTop(row) {
    return this.top() + (this.options.upward ? this.rows.length - 1 - row : row) * ROW;
  }

  scale(x, width) {
    return ((x - this.from) / (this.until - this.from)) * width;
  }

  draw(context, width) {
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    const striped = stripes(context, isDark() ? "#ffffff50" : "#00000038", boxColor(null));
    this.drawBands(context, width);
    for (let row = 0; row < this.rows.length; row += 1) this.drawRow(context, width, row, striped);
    if (this.options.axis) this.drawAxis(context, width);
    if (this.focus >= 0) {
      const { x0, x1, row } = this.boxes;
      const left = this.scale(x0[this.focus], width);
      const right = this.scale(x1[this.focus], width);
      context.strokeStyle = colors.ink;
      context.lineWidth = 2;
      context.strokeRect(left + 1, this.rowTop(row[this.focus]) + 1, Math.max(1, right - left - 2), ROW - 3);
    }
  }

  drawRow(context, width, row, striped) {
    const list = this.rows[row];
    const { x0, x1, name, hue, mark } = this.boxes;
    const y = this.rowTop(row);
    let drawn = -1;
    for (let at = this.firstFrom(list, this.from); at < list.length; at += 1) {
      const box = list[at];
      if (x0[box] >= this.until) break;
      const left = Math.max(-2, this.scale(x0[box], width));
      const right = Math.min(width + 2, this.scale(x1[box], width));
      const wide = right - left;
      if (wide < 0.7 && Math.floor(left) === drawn) continue;
      drawn = Math.floor(left);
      const dim = this.match && !this.match[box];
      context.globalAlpha = dim ? 0.22 : 1;
      context.fillStyle = mark[box] === 1 ? striped : boxColor(hue[box]);
      context.fillRect(left, y, Math.max(wide > 3 ? wide - 1 : wide, 0.7), ROW - 1);
      if (mark[box] === 2 && wide > 2) {
        context.fillStyle = colors.bad;
        context.fillRect(left, y, Math.min(3, wide), ROW - 1);
      }
      if (wide > 24) this.drawText(context, name[box], left, right, y, mark[box] === 2);
    }
    context.globalAlpha = 1;
  }

  drawText(context, name, left, right, y, bad) {
    const start = Math.max(left, 0) + (bad ? 7 : 4);
    const room = Math.min(right, this.canvas.clientWidth || right) - start - 3;
    const text = (bad ? "! " : "") + nameText(name).slice(0, 240);
    const fit = fitText(context, text, room);
    if (fit === "") return;
    context.fillStyle = boxInk();
    context.fillText(fit, start, y + ROW / 2);
  }

  /** Windows behind the boxes: losses are striped. */
  drawBands(context, width) {
    const height = this.height();
    const pattern = stripes(context, colors.bad);
    for (const band of this.bands) {
      const left = this.scale(band.x0, width);
      const right = Math.max(this.scale(band.x1, width), left + 1.5);
      if (right < 0 || left > width) continue;
      context.globalAlpha = band.bad ? 0.45 : 1;
      context.fillStyle = band.bad ? pattern : colors.accent;
      context.fillRect(left, this.top(), band.bad ? right - left : 1.5, height);
      context.globalAlpha = 1;
    }
  }

  drawAxis(context, width) {
    context.fillStyle = colors.soft;
    for (const [x, label] of this.options.axis(this.from, this.until, Math.max(2, Math.floor(width / 110)))) {
      const left = this.scale(x, width);
      context.fillRect(left, 12, 1, 6);
      const wide = context.measureText(label).width;
      if (left + 4 + wide < width) context.fillText(label, left + 4, 8);
    }
  }

  /** The place of the first box of a sorted row that ends behind `x`. */
  firstFrom(list, x) {
    let low = 0;
    let high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.boxes.x1[list[middle]] <= x) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  hit(event) {
    const bounds = this.canvas.getBoundingClientRect();
    const x = this.from + ((event.clientX - bounds.left) / bounds.width) * (this.until - this.from);
    const at = Math.floor((event.clientY - bounds.top - this.top()) / ROW);
    const row = this.options.upward ? this.rows.length - 1 - at : at;
    const list = this.rows[row];
    if (!list || at < 0) return -1;
    const box = list[this.firstFrom(list, x)];
    return box !== undefined && this.boxes.x0[box] <= x ? box : -1;
  }

  zoom(from, until) {
    const width = Math.max(until - from, 1e-9);
    this.from = Math.max(0, Math.min(from, 1 - width));
    this.until = Math.min(1, this.from + width);
    this.chart.repaint();
    if (this.options.onZoom) this.options.onZoom(this.from > 0 || this.until < 1);
    if (this.options.key) rememberZoom(this.options.key, this.from, this.until);
  }

  /** To where the address says, if it does. */
  zoomAs(wanted) {
    const [from, until] = zoomOf(wanted[this.options.key]);
    if (from !== this.from || until !== this.until) this.zoom(from, until);
  }

  zoomAt(x, factor) {
    const width = Math.min(1, (this.until - this.from) * factor);
    this.zoom(x - (x - this.from) * (width / (this.until - this.from)), x + (this.until - x) * (width / (this.until - this.from)));
  }

  zoomTo(box) {
    const { x0, x1 } = this.boxes;
    const same = Math.abs(this.from - x0[box]) < 1e-9 && Math.abs(this.until - x1[box]) < 1e-9;
    if (same) this.zoom(0, 1);
    else this.zoom(x0[box], x1[box]);
  }

  /** Marks the boxes whose name holds `text`; gives how many, and their share of the width. */
  search(text) {
    const wanted = text.toLowerCase();
    this.match = null;
    let found = 0;
    let share = 0;
    if (wanted !== "") {
      const { name, x0, x1 } = this.boxes;
      this.match = new Uint8Array(name.length);
      const known = new Map();
      for (let box = 0; box < name.length; box += 1) {
        if (!known.has(name[box])) {
          known.set(name[box], `${nameTarget(name[box])} ${nameText(name[box])}`.toLowerCase().includes(wanted));
        }
        if (known.get(name[box])) {
          this.match[box] = 1;
          found += 1;
        }
      }
      share = covered([...this.match.keys()].filter((box) => this.match[box]).map((box) => [x0[box], x1[box]]));
    }
    this.chart.repaint();
    return { found, share };
  }

  focusOn(box, tell) {
    this.focus = box;
    this.chart.repaint();
    const [title, lines] = this.options.describe(box);
    if (this.options.onFocus) this.options.onFocus(box, title, lines);
    if (tell) {
      say(`${title}: ${lines.map(([label, value]) => `${label} ${value}`).join(", ")}`);
      const width = this.until - this.from;
      const { x0, x1 } = this.boxes;
      if (x1[box] <= this.from || x0[box] >= this.until) this.zoom(x0[box] - width / 4, x0[box] + (width * 3) / 4);
    }
  }
}

/** How much of 0 to 1 is covered by intervals. */
function covered(intervals) {
  intervals.sort((a, b) => a[0] - b[0]);
  let sum = 0;
  let end = 0;
  for (const [from, until] of intervals) {
    if (until > end) {
      sum += until - Math.max(from, end);
      end = until;
    }
  }
  return sum;
}

/** As much of a text as there is room for. */
function fitText(context, text, room) {
  if (room < 8) return "";
  const wide = context.measureText(text).width;
  if (wide <= room) return text;
  let length = Math.floor((room / wide) * text.length);
  while (length > 0 && context.measureText(`${text.slice(0, length)}…`).width > room) length -= 1;
  return length > 0 ? `${text.slice(0, length)}…` : "";
}
