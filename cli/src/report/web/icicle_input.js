// What pointer and keyboard do to boxes on a canvas.

function listenTo(icicle) {
  const { canvas } = icicle;
  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, from: icicle.from, until: icicle.until, moved: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (drag && event.buttons > 0) {
      const width = drag.until - drag.from;
      const shift = ((drag.x - event.clientX) / canvas.clientWidth) * width;
      if (Math.abs(event.clientX - drag.x) > 4) drag.moved = true;
      if (drag.moved && width < 1) icicle.zoom(drag.from + shift, drag.from + shift + width);
      return;
    }
    const box = icicle.hit(event);
    canvas.style.cursor = box >= 0 ? "pointer" : "default";
    if (box >= 0) showTip(event.clientX, event.clientY, ...icicle.options.describe(box));
    else hideTip();
  });
  canvas.addEventListener("pointerleave", hideTip);
  canvas.addEventListener("click", (event) => {
    const moved = drag && drag.moved;
    drag = null;
    const box = icicle.hit(event);
    if (moved || box < 0) return;
    // A second click zooms, so that a double click does, too.
    if (icicle.focus === box) icicle.zoomTo(box);
    else icicle.focusOn(box, false);
  });
  canvas.addEventListener("wheel", (event) => {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    if (!event.ctrlKey && !event.metaKey && !sideways) return;
    event.preventDefault();
    const width = icicle.until - icicle.from;
    const bounds = canvas.getBoundingClientRect();
    if (sideways) {
      const shift = ((event.deltaX || event.deltaY) / bounds.width) * width;
      icicle.zoom(icicle.from + shift, icicle.until + shift);
    } else {
      icicle.zoomAt(icicle.from + ((event.clientX - bounds.left) / bounds.width) * width, event.deltaY > 0 ? 1.25 : 0.8);
    }
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.altKey && pressKey(icicle, event.key)) event.preventDefault();
  });
}

function pressKey(icicle, key) {
  const width = icicle.until - icicle.from;
  const middle = (icicle.from + icicle.until) / 2;
  const moves = {
    "+": () => icicle.zoomAt(middle, 0.7),
    "=": () => icicle.zoomAt(middle, 0.7),
    "-": () => icicle.zoomAt(middle, 1 / 0.7),
    w: () => icicle.zoomAt(middle, 0.7),
    s: () => icicle.zoomAt(middle, 1 / 0.7),
    a: () => icicle.zoom(icicle.from - width / 5, icicle.until - width / 5),
    d: () => icicle.zoom(icicle.from + width / 5, icicle.until + width / 5),
    0: () => icicle.zoom(0, 1),
    Escape: () => icicle.zoom(0, 1),
    Enter: () => icicle.focus >= 0 && icicle.zoomTo(icicle.focus),
    ArrowUp: () => stepFrom(icicle, icicle.options.upward ? 1 : -1, 0),
    ArrowDown: () => stepFrom(icicle, icicle.options.upward ? -1 : 1, 0),
    ArrowLeft: () => stepFrom(icicle, 0, -1),
    ArrowRight: () => stepFrom(icicle, 0, 1),
  };
  if (!moves[key]) return false;
  moves[key]();
  return true;
}

/** Moves the focus to a neighbour. */
function stepFrom(icicle, rows, boxes) {
  if (icicle.focus < 0) {
    if (icicle.rows[0] && icicle.rows[0].length > 0) icicle.focusOn(icicle.rows[0][0], true);
    return;
  }
  const { x0, x1, row } = icicle.boxes;
  const list = icicle.rows[row[icicle.focus] + rows];
  if (!list) return;
  if (rows === 0) {
    const next = list[list.indexOf(icicle.focus) + boxes];
    if (next !== undefined) icicle.focusOn(next, true);
    return;
  }
  const near = list[icicle.firstFrom(list, x0[icicle.focus])];
  const inside = near !== undefined && x0[near] < x1[icicle.focus];
  if (inside || rows < 0) icicle.focusOn(inside ? near : list[Math.max(0, icicle.firstFrom(list, x0[icicle.focus]) - 1)], true);
}
