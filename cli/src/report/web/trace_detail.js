// What is known of one span of a trace, in words.

function statusMark(row) {
  const words = { error: "! error", panicked: "! panicked", unfinished: "… unfinished", crashed: "! crashed" };
  return words[row.status] ? [el("span", { class: "status" }, words[row.status])] : [];
}

/** The name of a row; what counts by its entries is marked. */
function rowName(row) {
  return `${row.by === "lifetime" ? "" : "⟳ "}${nameText(row.name)}`;
}

/** How long it took, where that says anything. */
function rowLength(row) {
  if (row.by === "entries") return "lives long";
  return row.duration_ns === null ? row.status : duration(row.duration_ns);
}

function rowWords(row) {
  if (row.more > 0) return `${count(row.more)} more folded`;
  const words = [rowName(row), rowLength(row)];
  if (row.on_path) words.push("on the critical path");
  if (row.status !== "ok") words.push(row.status);
  return words.join(", ");
}

function legend() {
  return el("ul", { class: "legend" },
    el("li", null, el("span", { class: "key busy-key", "aria-hidden": "true" }), "busy (its share, from the left)"),
    el("li", null, el("span", { class: "key idle-key", "aria-hidden": "true" }), "waiting"),
    el("li", null, el("span", { class: "key path-key", "aria-hidden": "true" }), "◆ on the critical path"),
    el("li", null, "⟳ lives long: each time it was entered counts"));
}

/** Fields as `key=value`. */
function fieldList(fields) {
  return el("span", { class: "fields" }, fields.map(([key, value]) => el("span", { class: "field" },
    data(key, { class: "key-text" }), "=", data(value))));
}

function rowDetail(row, trace) {
  if (row.more > 0) {
    return [el("h3", null, `+ ${count(row.more)} more`),
      el("p", null, `Small ones under one parent, folded: from +${duration(row.start_ns - trace.start_ns)} on, within ${duration(row.duration_ns)}.`)];
  }
  const pairs = [
    ["duration", rowLength(row)],
    ["self", row.self_ns === null ? "" : duration(row.self_ns)],
    ["busy", row.by === "entry" ? "" : row.busy_ns === null ? "not measured" : `${duration(row.busy_ns)}${row.duration_ns && row.by === "lifetime" ? `, ${percent(row.busy_ns / row.duration_ns)}` : ""}`],
    ["entered", row.by === "entry" ? "" : `${plural(row.entries, "time")}`],
    ["on the critical path", row.on_path ? `${duration(row.critical_ns)} of its own, ${percent(row.critical_ns / trace.duration_ns)} of the trace` : "no"],
    ["starts at", `+${duration(row.start_ns - trace.start_ns)} in the trace, +${duration(row.start_ns)} in the run`],
    ["status", row.by === "entry" ? "" : row.status === "ok" ? "ok" : `! ${row.status}`],
    ["thread", visible(row.thread)],
    ["id", row.id],
    ...nameLines(row.name),
  ];
  const list = el("dl");
  for (const [label, value] of pairs) {
    if (value !== "") list.append(el("dt", null, label), el("dd", null, el("bdi", null, value)));
  }
  for (const [key, value] of row.fields) {
    list.append(el("dt", { class: "field-name" }, data(key)), el("dd", null, data(value)));
  }
  return [el("h3", null, nameCell(row.name)), list,
    el("a", { class: "button", href: address({ view: "sandwich", name: nameKey(row.name) }) }, "callers and callees"),
    el("a", { class: "button", href: address({ view: "heatmap", name: nameKey(row.name) }) }, "latency over time")];
}
