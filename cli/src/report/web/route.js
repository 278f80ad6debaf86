// Each view has an address: `#view=sandwich&name=db.query`.

/** What the address asks for. */
function route() {
  const wanted = {};
  for (const [key, value] of new URLSearchParams(location.hash.slice(1))) wanted[key] = value;
  return wanted;
}

function address(wanted) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(wanted)) {
    if (value !== null && value !== undefined && value !== "") query.set(key, value);
  }
  return `#${query}`;
}

function go(wanted) {
  location.hash = address(wanted);
}

/** A part of a chart from 0 to 1, such as `0.25-0.5`, as an address has it; all of it for anything else. */
function zoomOf(text) {
  const found = /^([01](?:\.\d+)?)-([01](?:\.\d+)?)$/.exec(text || "");
  const [from, until] = found ? [Number(found[1]), Number(found[2])] : [0, 1];
  return from < until && until <= 1 ? [from, until] : [0, 1];
}

let zooming = 0;

/** Not at each step of a wheel: browsers count how often an address is changed. */
function rememberZoom(key, from, until) {
  const digits = Math.min(12, Math.max(3, Math.ceil(-Math.log10(until - from)) + 3));
  const text = from <= 0 && until >= 1 ? null : `${from.toFixed(digits)}-${until.toFixed(digits)}`;
  const { view } = route();
  clearTimeout(zooming);
  zooming = setTimeout(() => {
    if (route().view === view) remember({ [key]: text });
  }, 150);
}

/** Changes the address of the view without going anywhere. */
function remember(changed) {
  history.replaceState(null, "", address({ ...route(), ...changed }));
}
