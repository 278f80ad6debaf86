// Spans that failed, by what they say; each with a trace that shows one.

function errorsView() {
  const shown = new Set(doc.traces.map((trace) => trace.id));
  const example = (row) => address({ view: "trace", id: row.trace, span: row.span });
  const columns = [
    { key: "spans", title: "spans", number: true, value: (row) => row.spans, cell: (row) => count(row.spans) },
    { key: "name", title: "span", value: (row) => nameText(row.name), cell: (row) => nameCell(row.name) },
    {
      key: "message", title: "what it says", wide: true, value: (row) => row.message,
      cell: (row) => el("span", { class: "message" }, row.status === "panicked" ? el("b", { class: "bad" }, "panicked ") : "",
        row.message === "" ? el("small", null, "nothing: no event in it and no field says why") : data(row.message),
        shown.has(row.trace) ? [" ", el("a", { href: example(row) }, "see one")] : ""),
    },
    {
      key: "last", title: "latest", number: true, value: (row) => row.last_ns,
      cell: (row) => (shown.has(row.trace)
        ? el("a", { href: example(row) }, `+${duration(row.last_ns)}`)
        : el("span", { title: `spandrel tree ${row.span}` }, `+${duration(row.last_ns)} · ${row.trace}`)),
    },
  ];
  const all = table({
    label: "spans that failed", rows: doc.failures, columns, sort: "spans",
    filter: (row) => `${nameTarget(row.name)} ${nameText(row.name)} ${row.message}`,
  });
  return {
    node: el("div", null, el("p", { class: "hint" }, `${plural(doc.run.errors, "span")} failed. A time leads to the latest trace of its kind, where this page has it; `,
      el("code", null, "spandrel tree ID"), " shows any other."), all),
    search: all.search,
    show: () => {},
    paint: () => {},
  };
}
