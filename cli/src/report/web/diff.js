// The run beside a baseline: what changed, and how sure that is.

const VERDICTS = {
  slower: ["▲", "slower"],
  faster: ["▼", "faster"],
  same: ["~", "within noise"],
  unsure: ["?", "too few spans"],
};

/** A change in per cent; from tenfold on, in times. */
function signed(value) {
  if (value >= 900) return `${count(Math.round(value / 100 + 1))}×`;
  return `${value > 0 ? "+" : ""}${value.toFixed(Math.abs(value) < 10 ? 1 : 0)}%`;
}

function diffCell(quantile) {
  const [sign, word] = VERDICTS[quantile.verdict] || ["?", visible(quantile.verdict)];
  const judged = quantile.verdict !== "unsure";
  return el("span", { class: `change ${VERDICTS[quantile.verdict] ? quantile.verdict : "unsure"}` },
    el("span", { class: "times" }, `${duration(quantile.before_ns)} → ${duration(quantile.after_ns)}`),
    el("span", { class: "verdict" }, `${sign} ${judged ? signed(quantile.change) : ""} ${word}`),
    judged ? el("small", null, `[${signed(quantile.low)}, ${signed(quantile.high)}]`) : null);
}

function diffSentence(diff) {
  const by = (verdict) => diff.rows.filter((row) => row.quantiles.some((quantile) => quantile.verdict === verdict)).length;
  const parts = [`${plural(by("slower"), "name")} slower at some percentile`, `${plural(by("faster"), "name")} faster`];
  if (diff.appeared.length > 0) parts.push(`${plural(diff.appeared.length, "name")} new`);
  if (diff.vanished.length > 0) parts.push(`${plural(diff.vanished.length, "name")} gone`);
  return `${parts.join(", ")}; the rest is within noise.`;
}

function diffView() {
  const { diff } = doc;
  const column = (at, title) => ({
    key: title, title, number: true, help: `${title} before and after, with the interval of the change`,
    value: (row) => row.quantiles[at].change, cell: (row) => diffCell(row.quantiles[at]),
  });
  const rows = table({
    label: "changes by name",
    rows: diff.rows,
    sort: "p99",
    filter: (row) => `${nameTarget(row.name)} ${nameText(row.name)}`,
    columns: [
      { key: "name", title: "span", wide: true, value: (row) => nameText(row.name), cell: (row) => nameCell(row.name) },
      {
        key: "calls", title: "calls", number: true, value: (row) => row.calls_after,
        cell: (row) => `${count(row.calls_before)} → ${count(row.calls_after)}`,
      },
      ...["p50", "p95", "p99"].map((title, at) => column(at, title)),
    ],
  });
  const lone = (title, names) => (names.length > 0
    ? el("section", null, el("h3", null, title), el("ul", { class: "plain" }, names.map((name) => el("li", null, nameCell(name)))))
    : null);
  return {
    node: el("div", null,
      el("p", null, "Baseline: ", data(diff.baseline), `, ${plural(diff.baseline_spans, "span")}.`,
        diff.baseline_complete ? "" : el("b", { class: "bad" }, " ! The baseline is incomplete.")),
      el("p", null, diffSentence(diff)), rows,
      lone("Only in this run", diff.appeared), lone("Only in the baseline", diff.vanished),
      el("p", { class: "hint" }, `In brackets: the interval of the change at ${percent(diff.confidence)}, by drawing blocks of time. ▲ slower and ▼ faster are said only where the change is more than chance makes among so many figures, and more than 2 %.${diff.between_runs === null ? "" : ` A single run tells nothing of the next one: runs are taken to differ by ${percent(diff.between_runs)}.`}`)),
    search: rows.search,
    show: () => {},
    paint: () => {},
  };
}
