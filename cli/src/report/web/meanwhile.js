// What ran on other threads while a trace went on: it is no part of it, and in no sum of it.

function meanwhileSection(trace) {
  if (trace.meanwhile.length === 0) return "";
  const threads = (row) => (row.threads > 1 ? `${visible(row.thread)} and ${plural(row.threads - 1, "other")}` : visible(row.thread));
  const columns = [
    { key: "name", title: "span", value: (row) => nameText(row.name), cell: (row) => nameCell(row.name) },
    { key: "fields", title: "fields", wide: true, value: (row) => JSON.stringify(row.fields), cell: (row) => fieldList(row.fields) },
    { key: "calls", title: "calls", number: true, value: (row) => row.calls, cell: (row) => count(row.calls) },
    { key: "total", title: "total", number: true, value: (row) => row.total_ns, cell: (row) => duration(row.total_ns) },
    { key: "longest", title: "longest", number: true, value: (row) => row.longest_ns, cell: (row) => duration(row.longest_ns) },
    { key: "thread", title: "thread", help: "of the longest", value: (row) => row.thread, cell: (row) => el("bdi", null, threads(row)) },
  ];
  const [more, ns] = trace.meanwhile_more;
  return el("section", null, el("h3", null, "Meanwhile on other threads"),
    el("p", { class: "hint" }, "What lives long and was inside no span then, as far as it was in the time of this trace; it is no part of it."),
    table({ label: "meanwhile on other threads", rows: trace.meanwhile, columns, sort: "longest" }),
    more > 0 ? el("p", { class: "hint" }, `${plural(more, "more entry", "more entries")}, ${duration(ns)} in total.`) : "");
}
