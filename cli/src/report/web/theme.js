// Light and dark: as the system has it, until somebody chooses.

const THEMES = ["auto", "light", "dark"];
let theme = "auto";
let printing = false;

/** Colours of the charts, from the style sheet, for whichever theme is shown. */
const colors = {};

function readColors() {
  const probe = el("i");
  document.body.append(probe);
  for (const name of ["bg", "panel", "ink", "soft", "line", "accent", "bad", "warn", "path", "idle", "heat"]) {
    probe.style.color = `var(--${name})`;
    colors[name] = getComputedStyle(probe).color;
  }
  probe.remove();
}

function isDark() {
  if (printing) return false;
  return theme === "auto" ? matchMedia("(prefers-color-scheme: dark)").matches : theme === "dark";
}

function applyTheme() {
  document.documentElement.dataset.theme = printing ? "light" : theme;
  readColors();
  window.dispatchEvent(new Event("themechange"));
}

/** The next of the themes; kept for the next time where the browser lets us. */
function turnTheme() {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  try {
    localStorage.setItem("spandrel-theme", theme);
  } catch {
    // A page from a file may have no storage.
  }
  applyTheme();
  return theme;
}

function startTheme(wanted) {
  try {
    theme = localStorage.getItem("spandrel-theme") || "auto";
  } catch {
    theme = "auto";
  }
  if (THEMES.includes(wanted)) theme = wanted;
  if (!THEMES.includes(theme)) theme = "auto";
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", applyTheme);
  applyTheme();
}

/** The colour of a box. All have the same lightness, so that text on them has the same contrast. */
function boxColor(hue, strength) {
  if (hue === null) return isDark() ? "oklch(0.36 0.01 260)" : "oklch(0.88 0.01 260)";
  const chroma = (isDark() ? 0.085 : 0.095) * (strength === undefined ? 1 : strength);
  return isDark() ? `oklch(0.4 ${chroma} ${hue})` : `oklch(0.84 ${chroma} ${hue})`;
}

function boxInk() {
  return isDark() ? "#f4f4f6" : "#17181c";
}

/** How many spans a cell of the heatmap has: from pale to strong on light, from dim to bright on dark. */
function heatColor(share) {
  const at = Math.max(0, Math.min(1, share));
  if (isDark()) return `oklch(${0.32 + 0.58 * at} ${0.07 + 0.09 * at} ${265 - 165 * at})`;
  return `oklch(${0.92 - 0.57 * at} ${0.05 + 0.11 * at} ${220 + 60 * at})`;
}

/** Stripes, for what colour alone would say. */
function stripes(context, color, back) {
  const tile = document.createElement("canvas");
  tile.width = 6;
  tile.height = 6;
  const pen = tile.getContext("2d");
  if (back) {
    pen.fillStyle = back;
    pen.fillRect(0, 0, 6, 6);
  }
  pen.strokeStyle = color;
  pen.lineWidth = 1.2;
  for (const shift of [-6, 0, 6]) {
    pen.beginPath();
    pen.moveTo(shift, 6);
    pen.lineTo(shift + 6, 0);
    pen.stroke();
  }
  return context.createPattern(tile, "repeat");
}
