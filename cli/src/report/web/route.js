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

/** Changes the address of the view without going anywhere. */
function remember(changed) {
  history.replaceState(null, "", address({ ...route(), ...changed }));
}
