// What is missing, what the run was, and where the time went.

const REASONS = {
  ring_full: "the ring was full: more spans came than the writer could take",
  store_error: "the database could not be written",
  already_shutdown: "they ended after the recording was closed",
  file_removed: "the file or its log was deleted, renamed or cut short while it was recorded into",
  too_large: "they were larger than a record may be",
  table_full: "more spans were open at once than there is room for",
  reentrant: "they were made inside the recorder itself",
  writer_panic: "the writer failed",
  row_refused: "the database refused those rows",
  damaged: "the ring file of a dead process was not as a recorder writes it",
  abandoned: "the process died while it was publishing them",
};

function lossWords(loss) {
  const what = [];
  if (loss.spans > 0) what.push(plural(loss.spans, "span"));
  if (loss.events > 0) what.push(plural(loss.events, "event"));
  if (loss.entries > 0) what.push(plural(loss.entries, "entry", "entries"));
  return `${what.join(" and ") || "nothing"} lost, ${visible(loss.reason)}, +${duration(loss.from_ns)} to +${duration(loss.to_ns)}`;
}

/** The banner above everything; nothing if nothing is missing. */
function banner() {
  const { run } = doc;
  const lines = [];
  if (doc.dropped > 0) {
    const all = run.spans + run.events + run.entries + doc.dropped;
    lines.push(el("p", null, el("b", null, `! ${count(doc.dropped)} spans, events and entries were lost (${percent(doc.dropped / all)}). `),
      "Figures are of what was stored."));
    const list = el("ul");
    for (const loss of doc.losses.slice(0, 6)) {
      const why = REASONS[loss.reason];
      list.append(el("li", null, `${lossWords(loss)}${why ? `: ${why}` : ""}`));
    }
    if (doc.losses.length > 6) list.append(el("li", null, `${doc.losses.length - 6} more windows; striped in the charts over time`));
    lines.push(list);
  }
  if (run.pruned > 0) {
    lines.push(el("p", null, el("b", null, `! ${count(run.pruned)} rows were deleted by retention. `), "The oldest spans are not in this page."));
  }
  if (run.state === "open") {
    lines.push(el("p", null, el("b", null, "! The run has no end: "), "it was still being recorded, or was killed. Spans that were open then are missing or unfinished."));
  }
  if (lines.length === 0) return null;
  return el("section", { class: "banner bad", role: "alert", "aria-label": "what is missing" }, lines);
}

function fact(label, value, more, href) {
  const shown = href ? el("a", { href }, value) : value;
  return el("div", { class: "fact" }, el("dt", null, label), el("dd", null, shown, more ? el("small", null, more) : null));
}

function facts() {
  const { run } = doc;
  const slowest = doc.traces[0];
  return el("dl", { class: "facts" },
    fact("spans", count(run.spans), run.unfinished > 0 ? `${count(run.unfinished)} unfinished` : null),
    doc.command === "report" ? fact("traces", count(run.traces), slowest ? `slowest ${duration(slowest.duration_ns)}` : null) : null,
    fact("length", duration(run.length_ns), wallClock(run.started_unix_ns, 0)),
    fact("errors", run.errors > 0 ? `! ${count(run.errors)}` : "0", run.spans > 0 ? `${percent(run.errors / run.spans)} of spans` : null,
      doc.failures.length > 0 ? address({ view: "errors" }) : null),
    fact("events", count(run.events)),
    fact("lost", doc.dropped > 0 ? `! ${count(doc.dropped)}` : "0", doc.complete ? "complete ✓" : "incomplete"));
}

/** One line about where the data come from. */
function origin() {
  const { run } = doc;
  const parts = [`run ${run.id}`];
  if (run.label) parts.push(`“${visible(run.label)}”`);
  parts.push(visible(run.program), `on ${visible(run.host)} (${visible(run.os)}, ${run.cpus} CPUs)`, `from ${visible(run.file)}`);
  return el("p", { class: "origin" }, parts.map((part, at) => [at > 0 ? " · " : "", el("bdi", null, part)]).flat());
}

/** Commands stand between backticks. */
function inCode(text) {
  return text.split("`").map((part, at) => (at % 2 === 1 ? el("code", null, data(part)) : data(part)));
}

/** What stands out, in words. */
function findings() {
  if (doc.findings.length === 0) return null;
  return el("section", { class: "findings" }, el("h2", null, "What stands out"), el("ul", null, doc.findings.map((finding) => {
    const name = findName(finding.about);
    const links = [];
    if (name !== null && finding.next) {
      links.push(" ", el("a", { href: address({ view: "sandwich", name: nameKey(name) }) }, "callers and callees"),
        " ", el("a", { href: address({ view: "heatmap", name: nameKey(name) }) }, "over time"));
    }
    if (finding.next) links.push(" ", el("code", null, data(finding.next)));
    return el("li", null, inCode(finding.text), links);
  })));
}

function topTable() {
  const all = doc.self_ns;
  const busy = (row) => (row.busy_ns === null || row.total_ns === 0 ? null : Math.min(1, row.busy_ns / row.total_ns));
  const time = (key, title, help) => ({
    key, title, help, number: true, value: (row) => row[key], cell: (row) => duration(row[key]),
  });
  const columns = [
    {
      key: "name", title: "span", wide: true, value: (row) => nameText(row.name),
      cell: (row) => el("a", { href: address({ view: "sandwich", name: nameKey(row.name) }) }, nameCell(row.name)),
    },
    time("self_ns", "self", "time that was not in a child span"),
    {
      key: "share", title: "self %", number: true, value: (row) => row.self_ns,
      cell: (row) => {
        const bar = el("span", { class: "share", "aria-hidden": "true" });
        bar.style.setProperty("--share", String(row.self_ns / Math.max(1, all)));
        return el("span", { class: "shared" }, percent(row.self_ns / Math.max(1, all)), bar);
      },
    },
    { key: "calls", title: "calls", number: true, value: (row) => row.calls, cell: (row) => count(row.calls) },
    time("total_ns", "total", "sum of durations"),
    time("p50_ns", "p50", "half of the calls were faster; within 1 %"),
    time("p95_ns", "p95", "95 % of the calls were faster; within 1 %"),
    time("p99_ns", "p99", "99 % of the calls were faster; within 1 %"),
    time("max_ns", "max", "the longest"),
    {
      key: "busy", title: "busy", number: true, help: "share of the duration in which it was not waiting", value: busy,
      cell: (row) => (busy(row) === null ? "–" : percent(busy(row))),
    },
    {
      key: "errors", title: "errors", number: true, value: (row) => row.errors,
      cell: (row) => (row.errors > 0 ? el("span", { class: "bad" }, `! ${count(row.errors)}`) : "0"),
    },
    {
      key: "spark", title: "over time", help: "time spent in it, from the start of the run to its end", value: (row) => row.total_ns,
      cell: (row) => el("a", { href: address({ view: "heatmap", name: nameKey(row.name) }), "aria-label": `latency over time of ${nameText(row.name)}` },
        sparkline(row.spark, `time spent over the run; most in part ${row.spark.indexOf(100) + 1} of ${row.spark.length}`)),
    },
  ];
  return table({
    label: "spans by self time", rows: doc.top, columns, sort: "self_ns",
    filter: (row) => `${nameTarget(row.name)} ${nameText(row.name)}`,
  });
}

function overviewView() {
  const top = topTable();
  const gauges = gaugesSection();
  const notes = doc.notes.length > 0
    ? el("section", { class: "notes" }, el("h2", null, "What this page leaves out"),
      el("ul", null, doc.notes.map((note) => el("li", null, note))))
    : el("section", { class: "notes" }, el("p", null, "Nothing was left out of this page."));
  const losses = doc.losses.length > 0
    ? el("section", null, el("h2", null, "What was lost"),
      el("ul", null, doc.losses.map((loss) => el("li", null, lossWords(loss)))))
    : null;
  const long = doc.top.some((row) => row.name >= 0 && doc.names[row.name].long)
    ? el("p", { class: "note" }, "⟳ lives long: each time it was entered counts") : null;
  const empty = doc.run.spans === 0 ? el("p", { class: "empty" }, "The run has no spans.") : null;
  return {
    node: el("div", null, facts(), findings() || "", el("h2", null, "Where the time went"), empty || "", top, long || "", gauges.node || "", losses || "", notes),
    search: top.search,
    show: () => {},
    paint: () => {
      for (const spark of document.querySelectorAll(".spark")) spark.redraw();
      gauges.paint();
    },
  };
}
