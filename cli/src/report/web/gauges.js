// Values that the program has set, over time.

const GAUGE_HEIGHT = 56;
const FIGURE = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 4 });
const BYTES = ["B", "kB", "MB", "GB", "TB"];

/** A value of a gauge; those of `…_bytes` in units. */
function gaugeFigure(name, value) {
  if (value === null) return "–";
  if (/(^|[._])bytes$/.test(name) && value >= 1000) {
    const at = Math.min(Math.floor(Math.log10(value) / 3), BYTES.length - 1);
    return `${FIGURE.format(value / 1000 ** at)} ${BYTES[at]}`;
  }
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return count(value);
  return value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e15) ? value.toExponential(3) : FIGURE.format(value);
}

/** What holds in each column: a value stays until there is another one. */
function gaugeSteps(values) {
  let last = null;
  return values.map((value) => {
    if (value !== null) last = value;
    return last;
  });
}

/** How high a value is, from 0 to 1. */
function gaugeShare(gauge, value) {
  const { min, max } = gauge;
  // Halves: the difference of two large numbers may be no number.
  return max > min ? (value / 2 - min / 2) / (max / 2 - min / 2) : 0.5;
}

function gaugeChart(gauge) {
  const steps = gaugeSteps(gauge.values);
  const label = `${visible(gauge.name)} over the run: from ${gaugeFigure(gauge.name, gauge.min)} to ${gaugeFigure(gauge.name, gauge.max)}, at last ${gaugeFigure(gauge.name, gauge.last)}`;
  return chart({ role: "img", "aria-label": label, title: label }, () => GAUGE_HEIGHT, (context, width, height) => {
    context.fillStyle = colors.line;
    context.fillRect(0, height - 1, width, 1);
    context.strokeStyle = colors.accent;
    context.lineWidth = 1.5;
    context.beginPath();
    const step = width / steps.length;
    let began = false;
    steps.forEach((value, at) => {
      if (value === null) return;
      const y = height - 4 - gaugeShare(gauge, value) * (height - 8);
      if (began) context.lineTo(at * step, y);
      else context.moveTo(at * step, y);
      context.lineTo((at + 1) * step, y);
      began = true;
    });
    context.stroke();
  });
}

/** A chart for each; nothing if there are none. */
function gaugesSection() {
  if (doc.gauges.length === 0) return { node: null, paint: () => {} };
  const charts = [];
  const list = el("ul", { class: "gauges" }, doc.gauges.map((gauge) => {
    const drawn = gaugeChart(gauge);
    charts.push(drawn);
    const figure = (value) => gaugeFigure(gauge.name, value);
    return el("li", null,
      el("p", null, el("b", null, data(gauge.name)), ` ${figure(gauge.last)} `,
        el("small", null, `min ${figure(gauge.min)} · mean ${figure(gauge.mean)} · max ${figure(gauge.max)} · ${plural(gauge.updates, "update")}`)),
      el("div", null, drawn.canvas));
  }));
  return {
    node: el("section", null, el("h2", null, "Values over time"), list),
    paint: () => charts.forEach((drawn) => drawn.repaint()),
  };
}
