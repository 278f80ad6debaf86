// Tables that sort by a click on a column and filter while one types.

/**
 * `spec`: `label`, `rows`, `columns` (key, title, help, number, `value(row)` to sort by, `cell(row)` to
 * show), `sort` (key; the largest first), `filter(row)` gives the text that is searched.
 */
function table(spec) {
  let sorted = { key: spec.sort, down: true };
  let wanted = "";
  const body = el("tbody");
  const shown = el("output", { class: "found" });
  const heads = new Map();
  const head = el("tr", null, spec.columns.map((column) => {
    const button = el("button", { type: "button", title: column.help, onclick: () => sortBy(column) }, column.title);
    const cell = el("th", { scope: "col", class: column.number ? "number" : column.wide ? "wide-cell" : null }, button);
    heads.set(column.key, cell);
    return cell;
  }));
  const sortBy = (column) => {
    sorted = { key: column.key, down: sorted.key === column.key ? !sorted.down : Boolean(column.number) };
    fill();
  };
  const fill = () => {
    const column = spec.columns.find((one) => one.key === sorted.key);
    for (const [key, cell] of heads) {
      cell.setAttribute("aria-sort", key === sorted.key ? (sorted.down ? "descending" : "ascending") : "none");
    }
    const rows = spec.rows.filter((row) => wanted === "" || spec.filter(row).toLowerCase().includes(wanted));
    rows.sort((a, b) => compareValues(column.value(a), column.value(b)) * (sorted.down ? -1 : 1));
    shown.textContent = wanted === "" ? "" : `${rows.length} of ${spec.rows.length}`;
    body.replaceChildren(...rows.map((row) => el("tr",
      { class: spec.current && spec.current(row) ? "current" : null },
      spec.columns.map((one) => el("td", { class: one.number ? "number" : null }, one.cell(row))))));
  };
  const input = el("input", {
    type: "search",
    class: "search",
    placeholder: "filter",
    "aria-label": `filter: ${spec.label}`,
    oninput: () => {
      wanted = input.value.trim().toLowerCase();
      fill();
    },
  });
  fill();
  const node = el("div", { class: "table-box" },
    spec.filter ? el("div", { class: "bar" }, input, shown) : null,
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": spec.label },
      el("table", null, el("caption", { class: "unseen" }, spec.label), el("thead", null, head), body)));
  node.search = input;
  return node;
}

function compareValues(a, b) {
  if (typeof a === "string" || typeof b === "string") return String(a).localeCompare(String(b));
  return (a === null ? -Infinity : a) - (b === null ? -Infinity : b);
}

/** Sums over the run as bars, 0 to 100. */
function sparkline(values, title) {
  const width = 104;
  const height = 18;
  const canvas = el("canvas", { class: "spark", role: "img", "aria-label": title, title });
  const scale = Math.min(window.devicePixelRatio || 1, 3);
  canvas.width = width * scale;
  canvas.height = height * scale;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const draw = () => {
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    context.fillStyle = colors.line;
    context.fillRect(0, height - 1, width, 1);
    context.fillStyle = colors.accent;
    const step = width / values.length;
    values.forEach((value, at) => {
      const tall = value > 0 ? Math.max(1.5, (value / 100) * (height - 1)) : 0;
      context.fillRect(at * step, height - tall, Math.max(step - 0.3, 0.7), tall);
    });
  };
  canvas.redraw = draw;
  draw();
  return canvas;
}
