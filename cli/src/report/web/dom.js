// Elements of the page. Text is only ever set as text.

/** An element; `props` are attributes, `on…` listeners and `class`; children are nodes or text. */
function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.className = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Text of the profile: it cannot turn the text around it. */
function data(text, props) {
  return el("bdi", props, visible(text));
}

/** A canvas that fills its parent's width; calls `draw(context, width, height)` when it has to. */
function chart(props, heightOf, draw) {
  const canvas = el("canvas", props);
  const paint = () => {
    const width = Math.floor(canvas.parentNode ? canvas.parentNode.clientWidth : 0);
    if (width <= 0) return;
    const height = heightOf(width);
    const scale = Math.min(window.devicePixelRatio || 1, 3);
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    draw(context, width, height);
  };
  let asked = 0;
  const repaint = () => {
    if (asked === 0) {
      asked = requestAnimationFrame(() => {
        asked = 0;
        paint();
      });
    }
  };
  new ResizeObserver(repaint).observe(canvas);
  window.addEventListener("resize", repaint);
  window.addEventListener("themechange", repaint);
  return { canvas, paint, repaint };
}

/** One of a few choices. */
function choice(label, options, chosen, onChoose) {
  const group = el("div", { class: "choice", role: "radiogroup", "aria-label": label });
  for (const [value, text, title] of options) {
    const button = el("button", {
      type: "button",
      role: "radio",
      title,
      "aria-checked": String(value === chosen),
      onclick: () => {
        for (const other of group.children) {
          other.setAttribute("aria-checked", String(other === button));
        }
        onChoose(value);
      },
    }, text);
    group.append(button);
  }
  return group;
}
