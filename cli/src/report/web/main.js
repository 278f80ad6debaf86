// Puts the page together and follows its address.

const KEYS = [
  ["1 … 8", "the views, from left to right"],
  ["/", "search or filter"],
  ["t", "light, dark, or as the system has it"],
  ["?", "this help"],
  ["arrows", "from box to box, row to row, cell to cell"],
  ["Enter", "zoom to the box; again: out"],
  ["+ − w s", "zoom"],
  ["a d", "left and right"],
  ["0 Esc", "zoom out"],
  ["double click, Ctrl + wheel, drag", "zoom and move with the pointer"],
];

/** The views that the data are there for. */
function viewList() {
  const report = doc.command === "report";
  return [
    ["overview", "Overview", report ? overviewView : null],
    ["flame", "Flame graph", flameView],
    ["time", "Time order", doc.timeline ? timelineView : null],
    ["sandwich", "Sandwich", sandwichView],
    ["trace", "Slowest traces", report ? traceView : null],
    ["errors", "Errors", report && doc.failures.length > 0 ? errorsView : null],
    ["heatmap", "Heatmap", doc.heatmap ? heatmapView : null],
    ["diff", "Baseline", doc.diff ? diffView : null],
  ].filter(([, , make]) => make);
}

function helpDialog() {
  const list = el("dl", { class: "keys" });
  for (const [key, what] of KEYS) list.append(el("dt", null, el("kbd", null, key)), el("dd", null, what));
  const dialog = el("dialog", { "aria-label": "help" }, el("h2", null, "Keys"), list,
    el("p", null, "Each view has its own address: copy it from the bar to share what you see."),
    el("form", { method: "dialog" }, el("button", null, "close")));
  document.body.append(dialog);
  return dialog;
}

function build() {
  giveHues();
  makeFlameTree();
  makeTooltip();
  const views = viewList().map(([key, title, make]) => ({ key, title, ...make() }));
  const help = helpDialog();
  const themeButton = el("button", { type: "button", class: "tool" }, "");
  const setTheme = () => { themeButton.textContent = { auto: "◐ auto", light: "○ light", dark: "● dark" }[theme]; };
  themeButton.addEventListener("click", () => { turnTheme(); setTheme(); });
  themeButton.setAttribute("aria-label", "light or dark");
  setTheme();
  const tabs = el("nav", { class: "tabs", "aria-label": "views" }, views.map((view) => {
    view.tab = el("a", { href: address({ view: view.key }) }, view.title);
    view.section = el("section", { class: "view", id: `view-${view.key}`, "aria-label": view.title, hidden: true },
      el("h2", { class: "print-title" }, view.title), view.node);
    return view.tab;
  }));
  document.getElementById("page").append(
    el("header", null,
      el("div", { class: "title" }, el("h1", null, el("bdi", null, visible(doc.title))), origin()),
      el("div", { class: "tools" }, themeButton,
        el("button", { type: "button", class: "tool", "aria-label": "help", onclick: () => help.showModal() }, "? help"))),
    banner() || "",
    doc.selection ? el("p", { class: "selection" }, el("b", null, "Only "), data(doc.selection)) : "",
    tabs,
    el("main", null, views.map((view) => view.section)),
    el("footer", null, el("p", null, `${visible(doc.generator)} · opens offline, loads nothing`)));
  window.addEventListener("themechange", () => {
    recolorSpots();
    for (const view of views) if (!view.section.hidden) view.paint();
  });
  return { views, help, themeButton, setTheme };
}

function showView({ views }) {
  const wanted = route();
  const current = views.find((view) => view.key === wanted.view) || views[0];
  for (const view of views) {
    view.section.hidden = view !== current;
    if (view === current) view.tab.setAttribute("aria-current", "page");
    else view.tab.removeAttribute("aria-current");
  }
  hideTip();
  current.show(wanted);
  current.tab.scrollIntoView({ block: "nearest", inline: "nearest" });
  requestAnimationFrame(() => current.paint());
  return current;
}

function listenToKeys(page) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest && event.target.closest("input, select, textarea, dialog");
    if (event.key === "Escape" && typing) event.target.blur();
    if (typing) return;
    const view = page.views[Number(event.key) - 1];
    if (view) go({ view: view.key });
    else if (event.key === "?") page.help.showModal();
    else if (event.key === "t") page.themeButton.click();
    else if (event.key === "/" && page.current.search) page.current.search.focus();
    else return;
    event.preventDefault();
  });
}

/** A printer gets all views, in light colours. */
function listenToPrinting(page) {
  window.addEventListener("beforeprint", () => {
    printing = true;
    for (const view of page.views) {
      view.section.hidden = false;
      if (view !== page.current) view.show({});
    }
    applyTheme();
    for (const view of page.views) {
      view.paint();
      if (view.showAll) view.showAll();
    }
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    applyTheme();
    page.current = showView(page);
  });
}

async function readData() {
  const node = document.getElementById("data");
  if (node.dataset.encoding === "json") return JSON.parse(node.textContent);
  const packed = Uint8Array.from(atob(node.textContent), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

async function start() {
  doc = await readData();
  document.title = visible(doc.title);
  startTheme(route().theme);
  const page = build();
  page.current = showView(page);
  window.addEventListener("hashchange", () => { page.current = showView(page); });
  listenToKeys(page);
  listenToPrinting(page);
  requestAnimationFrame(() => { document.documentElement.dataset.ready = page.current.key; });
}

start().catch((error) => {
  document.documentElement.dataset.failed = String(error);
  document.getElementById("page").append(el("p", { class: "banner bad", role: "alert" },
    `This page could not be shown: ${String(error)}. A newer browser may be able to.`));
});
