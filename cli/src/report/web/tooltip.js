// What is under the pointer, or under the focus of the keyboard.

let tip = null;
let said = null;

function makeTooltip() {
  tip = el("div", { class: "tip", role: "tooltip", hidden: true });
  said = el("div", { class: "unseen", "aria-live": "polite", id: "said" });
  document.body.append(tip, said);
  window.addEventListener("scroll", hideTip, { passive: true });
}

/** Shows `title` and pairs of label and value beside a place of the window. */
function showTip(x, y, title, lines) {
  tip.replaceChildren(el("b", null, el("bdi", null, title)));
  const list = el("dl");
  for (const [label, value] of lines) {
    if (value === null || value === undefined || value === "") continue;
    list.append(el("dt", null, label), el("dd", null, el("bdi", null, value)));
  }
  tip.append(list);
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const room = document.documentElement;
  const left = x + 14 + box.width > room.clientWidth ? Math.max(4, x - box.width - 10) : x + 14;
  const top = y + 14 + box.height > room.clientHeight ? Math.max(4, y - box.height - 10) : y + 14;
  tip.style.left = `${left}px`;
  tip.style.top = `${top}px`;
}

function hideTip() {
  tip.hidden = true;
}

/** Tells it to those who do not see the chart. */
function say(text) {
  said.textContent = text;
}
