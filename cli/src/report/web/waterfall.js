// The slowest traces, one at a time: who waited for whom, and what would have to be faster.

const TRACE_ROW = 26;

function traceView() {
  const picker = el("div", { class: "picker" });
  const wide = el("div", { class: "wide" });
  let drawn = null;
  return {
    node: doc.traces.length > 0
      ? el("div", { class: "split" }, picker, wide)
      : el("p", { class: "empty" }, "No trace has ended: there is no root span with a duration."),
    show: (wanted) => {
      if (doc.traces.length === 0) return;
      const trace = doc.traces.find((one) => one.id === wanted.id) || doc.traces[0];
      picker.replaceChildren(tracePicker(trace));
      drawn = new Waterfall(trace);
      wide.replaceChildren(...drawn.nodes);
      drawn.goTo(wanted.span);
      drawn.fill();
    },
    paint: () => drawn && drawn.fill(),
    showAll: () => drawn && drawn.fill(true),
  };
}

function tracePicker(current) {
  const slowest = doc.traces[0].duration_ns;
  const listed = (label, traces) => el("ol", { class: "traces", "aria-label": label }, traces.map((trace) => {
    const bar = el("span", { class: "length", "aria-hidden": "true" });
    bar.style.setProperty("--share", String(trace.duration_ns / Math.max(1, slowest)));
    return el("li", null, el("a", {
      href: address({ view: "trace", id: trace.id }),
      "aria-current": trace === current ? "true" : null,
    }, el("span", { class: "time" }, duration(trace.duration_ns)), nameCell(trace.name),
    el("small", null, `${trace.id} · +${duration(trace.start_ns)} · ${plural(trace.spans, "span")}`), bar));
  }));
  const failed = doc.traces.filter((trace) => trace.failed);
  return el("div", null, listed("slowest traces", doc.traces.filter((trace) => !trace.failed)),
    failed.length > 0 ? [el("h3", null, "with errors"), listed("traces with errors", failed)] : "");
}

class Waterfall {
  constructor(trace) {
    this.trace = trace;
    this.closed = new Set();
    this.onlyCritical = false;
    this.chosen = 0;
    // Unfinished spans, and those that outlive the root, may end behind it.
    const ends = trace.rows.map((row) => row.start_ns + (row.duration_ns || 0));
    this.from = Math.min(trace.start_ns, ...trace.rows.map((row) => row.start_ns));
    this.until = Math.max(trace.start_ns + trace.duration_ns, ...ends);
    this.list = el("div", { class: "rows", role: "tree", tabindex: "0", "aria-label": "spans of the trace" });
    this.scroller = el("div", { class: "waterfall" }, this.list);
    this.ruler = el("div", { class: "ruler", "aria-hidden": "true" });
    this.detail = el("div", { class: "detail" });
    this.scroller.addEventListener("scroll", () => this.fill(), { passive: true });
    new ResizeObserver(() => this.fill()).observe(this.scroller);
    this.list.addEventListener("keydown", (event) => this.key(event));
    const check = el("input", { type: "checkbox", onchange: () => { this.onlyCritical = check.checked; this.fill(); } });
    this.nodes = [
      el("h2", null, nameCell(trace.name), el("span", { class: "time" }, duration(trace.duration_ns))),
      this.critical(),
      el("div", { class: "bar" }, el("label", null, check, "critical path only"), legend()),
      this.ruler, this.scroller, this.detail, meanwhileSection(trace), this.events(),
    ];
    this.choose(0);
  }

  /** Time on the critical path by name, as a bar and as text. */
  critical() {
    const { trace } = this;
    if (trace.critical.length === 0) return el("p", null, "No critical path: nobody worked in the trace by itself.");
    const bar = el("div", { class: "critical-bar", "aria-hidden": "true" });
    const list = el("ul", { class: "critical" });
    trace.critical.slice(0, 8).forEach((share) => {
      const part = el("span");
      part.style.flexGrow = String(share.ns);
      part.style.background = boxColor(nameHue(share.name));
      part.className = "spot";
      part.dataset.name = share.name;
      bar.append(part);
      list.append(el("li", null, nameCell(share.name), ` ${duration(share.ns)}, ${percent(share.ns / trace.duration_ns)}`));
    });
    const rest = trace.critical.slice(8);
    if (rest.length > 0) list.append(el("li", null, `${plural(rest.length, "more name")}, ${duration(rest.reduce((sum, one) => sum + one.ns, 0))}`));
    if (trace.kept_open_ns >= 0.01 * trace.duration_ns && trace.kept_open_ns > 0) {
      list.append(el("li", null, `kept open while nobody worked ${duration(trace.kept_open_ns)}, ${percent(trace.kept_open_ns / trace.duration_ns)}`));
    }
    return el("section", null, el("h3", null, "◆ critical path: what the trace waited for"), bar, list,
      trace.whole ? null : el("p", { class: "hint" }, "! Only the first spans were looked at: the path may miss later ones."));
  }

  /** Rows that are neither folded nor filtered out. */
  visibleRows() {
    const rows = [];
    let closedAt = Infinity;
    this.trace.rows.forEach((row, at) => {
      if (row.depth > closedAt) return;
      closedAt = this.closed.has(at) ? row.depth : Infinity;
      if (!this.onlyCritical || row.on_path) rows.push(at);
    });
    return rows;
  }

  /** Makes the rows that can be seen; all of them for a printer. */
  fill(all) {
    const rows = this.visibleRows();
    const high = this.scroller.clientHeight || 600;
    const first = all ? 0 : Math.max(0, Math.floor(this.scroller.scrollTop / TRACE_ROW) - 8);
    const last = all ? rows.length : Math.min(rows.length, first + Math.ceil(high / TRACE_ROW) + 16);
    this.list.style.height = `${rows.length * TRACE_ROW}px`;
    this.list.replaceChildren(...rows.slice(first, last).map((at, place) => this.row(at, first + place, rows.length)));
    this.ruler.replaceChildren(...this.rulerTicks());
  }

  rulerTicks() {
    const length = this.until - this.from;
    const most = Math.max(2, Math.floor((this.ruler.clientWidth || 600) / 90));
    return ticks(0, length, most).map((ns) => {
      const tick = el("span", null, tickLabel(ns));
      tick.style.insetInlineStart = `${(ns / length) * 100}%`;
      return tick;
    });
  }

  row(at, place, of) {
    const row = this.trace.rows[at];
    const next = this.trace.rows[at + 1];
    const parent = Boolean(next && next.depth > row.depth);
    const critical = row.on_path;
    const label = el("div", { class: "row-label" });
    label.style.paddingInlineStart = `${Math.min(row.depth, 24) * 14 + 4}px`;
    label.append(parent
      ? el("button", {
        type: "button", class: "fold", tabindex: "-1", "aria-label": this.closed.has(at) ? "unfold" : "fold",
        onclick: (event) => { event.stopPropagation(); this.fold(at); },
      }, this.closed.has(at) ? "▸" : "▾")
      : el("span", { class: "fold" }));
    if (row.more > 0) label.append(el("span", { class: "more" }, `+ ${count(row.more)} more`));
    else {
      label.append(el("span", { class: "diamond", title: critical ? "on the critical path" : null }, critical ? "◆" : ""),
        ...statusMark(row), el("bdi", { class: "label" }, rowName(row)));
    }
    return this.dress(el("div", {
      class: `row${critical ? " critical-row" : ""}${at === this.chosen ? " current" : ""}`,
      role: "treeitem", id: `row-${at}`,
      "aria-level": row.depth + 1, "aria-posinset": place + 1, "aria-setsize": of,
      "aria-expanded": parent ? String(!this.closed.has(at)) : null,
      "aria-selected": String(at === this.chosen),
      "aria-label": rowWords(row),
      onclick: () => this.choose(at),
    }, label, this.bar(row)), place);
  }

  dress(node, place) {
    node.style.top = `${place * TRACE_ROW}px`;
    return node;
  }

  bar(row) {
    const length = Math.max(1, this.until - this.from);
    const share = (ns) => `${(ns / length) * 100}%`;
    const zone = el("div", { class: "zone" });
    // The lifetime of what lives long is no work.
    if (row.by === "entries") {
      zone.append(el("span", { class: "row-time" }, `lives long, entered ${plural(row.entries, "time")}`));
      return zone;
    }
    const open = row.duration_ns === null;
    const span = el("div", { class: `span-bar ${row.status}${row.busy_ns === null || row.more > 0 ? " unmeasured" : ""}` });
    const spanNs = open ? this.until - row.start_ns : row.duration_ns;
    span.style.insetInlineStart = share(row.start_ns - this.from);
    span.style.width = share(spanNs);
    if (row.more === 0) {
      span.style.setProperty("--box", boxColor(nameHue(row.name)));
      const busy = el("div", { class: "busy" });
      busy.style.width = row.busy_ns === null ? "100%" : `${Math.min(1, row.busy_ns / Math.max(1, spanNs)) * 100}%`;
      span.append(busy);
    }
    zone.append(span);
    for (const [from, until] of row.critical) {
      const stretch = el("div", { class: "stretch" });
      stretch.style.insetInlineStart = share(from - this.from);
      stretch.style.width = share(until - from);
      zone.append(stretch);
    }
    const end = (row.start_ns - this.from + spanNs) / length;
    const time = el("span", { class: "row-time" }, open ? row.status : duration(row.duration_ns));
    if (end > 0.8) {
      const start = (row.start_ns - this.from) / length;
      if (start > 0.2) time.style.insetInlineEnd = `${(1 - start) * 100}%`;
      else time.classList.add("inside");
    } else time.style.insetInlineStart = `${end * 100}%`;
    zone.append(time);
    return zone;
  }

  fold(at) {
    if (this.closed.has(at)) this.closed.delete(at);
    else this.closed.add(at);
    this.fill();
  }

  /** To the span of the address, if it has a row. */
  goTo(id) {
    const at = this.trace.rows.findIndex((row) => row.id === id && row.more === 0);
    if (at < 0) return;
    this.choose(at);
    this.scroller.scrollTop = Math.max(0, (this.visibleRows().indexOf(at) - 3) * TRACE_ROW);
  }

  choose(at) {
    this.chosen = at;
    const row = this.trace.rows[at];
    if (!row) return;
    this.detail.replaceChildren(...rowDetail(row, this.trace));
    this.fill();
    this.list.setAttribute("aria-activedescendant", `row-${at}`);
  }

  key(event) {
    const rows = this.visibleRows();
    const place = rows.indexOf(this.chosen);
    const moves = {
      ArrowDown: () => rows[Math.min(rows.length - 1, place + 1)],
      ArrowUp: () => rows[Math.max(0, place - 1)],
      Home: () => rows[0],
      End: () => rows[rows.length - 1],
      ArrowLeft: () => { this.closed.add(this.chosen); return this.chosen; },
      ArrowRight: () => { this.closed.delete(this.chosen); return this.chosen; },
    };
    if (!moves[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const next = moves[event.key]();
    const top = this.visibleRows().indexOf(next) * TRACE_ROW;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    const bottom = top + TRACE_ROW - this.scroller.clientHeight;
    if (bottom > this.scroller.scrollTop) this.scroller.scrollTop = bottom;
    this.choose(next);
  }

  events() {
    const { trace } = this;
    if (trace.events_of === 0) return el("p", { class: "hint" }, "No events in this trace.");
    const names = new Map(trace.rows.map((row) => [row.id, row.name]));
    const more = trace.events_of - trace.events.length;
    return el("section", null, el("h3", null, `Events (${count(trace.events_of)})`),
      el("ol", { class: "events" }, trace.events.map((event) => el("li", null,
        el("span", { class: "time" }, `+${duration(event.at_ns - trace.start_ns)}`),
        el("span", { class: `level ${/^[A-Z]+$/.test(event.level) ? event.level.toLowerCase() : ""}` }, visible(event.level)),
        event.name ? data(event.name, { class: "key-text" }) : null, event.name ? " " : null,
        data(event.message || (event.name || event.fields.length > 0 ? "" : "(no message)")),
        fieldList(event.fields),
        el("small", null, el("bdi", null, names.has(event.span) ? nameText(names.get(event.span)) : event.span))))),
      more > 0 ? el("p", { class: "hint" }, `${count(more)} more events are not in this page.`) : null);
  }
}
