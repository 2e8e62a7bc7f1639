/**
 * The slice viewer: three linked slices of a volume, as 3dmod shows them.
 *
 *     x-z slice  | power spectrum of x-z      z, kz upward
 *     -----------+-----------------------
 *     x-y slice  | y-z slice                  y upward, common axes x and y
 *
 * One file without dependencies. First come functions of numbers alone, which are tested with
 * node; then the loader, which asks the server for slices; then `Viewer`, which draws them on one
 * canvas; last the Vue component by which NiceGUI puts a viewer into a page.
 *
 * The server sends bytes, 0 to 255 over a range of values that it took from a sample of the file,
 * lowest row first. Contrast is applied here, so to change it costs nothing. What stands in a
 * program's or a user's words is set as text, never as HTML.
 *
 * Tests find the newest viewer of a page as `window.__viewer`.
 */

// ---------------------------------------------------------------------------------- numbers

/** Running sum of a histogram as fractions, 257 numbers from 0 to 1: entry i is what lies below byte i. */
export function cumulative(counts) {
  const total = counts.reduce((sum, count) => sum + count, 0) || 1;
  const below = [0];
  for (const count of counts) below.push(below[below.length - 1] + count / total);
  below[below.length - 1] = 1;
  return below;
}

/** Grey level (0 to 256, fractions allowed) below which `percent` % of the voxels lie. */
export function levelAt(below, percent) {
  const part = Math.min(1, Math.max(0, percent / 100));
  let i = 1;
  while (i < below.length - 1 && below[i] < part) i += 1;
  const step = below[i] - below[i - 1];
  return i - 1 + (step > 0 ? Math.min(1, Math.max(0, (part - below[i - 1]) / step)) : 0);
}

/** Percent of the voxels below a grey level. */
export function percentAt(below, level) {
  const inside = Math.min(below.length - 1, Math.max(0, level));
  const i = Math.min(below.length - 2, Math.floor(inside));
  return 100 * (below[i] + (below[i + 1] - below[i]) * (inside - i));
}

/** The window of another volume that cuts off the same percentages. */
export function matchWindow(below, window, otherBelow) {
  const [low, high] = window.map((level) => {
    const percent = percentAt(below, level);
    return percent <= 0 || percent >= 100 ? level : levelAt(otherBelow, percent);
  });
  return high > low ? [low, high] : [low, low + 1];
}

/** Opaque greys as 32-bit pixels for each byte, between two levels; inverted, if so asked. */
export function greys(low, high, invert = false) {
  const table = new Uint32Array(256);
  const width = Math.max(high - low, 1e-6);
  for (let byte = 0; byte < 256; byte += 1) {
    const part = Math.min(1, Math.max(0, (byte + 0.5 - low) / width));
    const grey = Math.round(255 * (invert ? 1 - part : part));
    table[byte] = (0xff000000 | (grey << 16) | (grey << 8) | grey) >>> 0;
  }
  return table;
}

/** Paint rows of bytes, lowest row first, as pixels, highest row first. */
export function paint(bytes, rows, columns, table, pixels) {
  for (let row = 0; row < rows; row += 1) {
    let from = (rows - 1 - row) * columns;
    const end = (row + 1) * columns;
    for (let to = row * columns; to < end; to += 1, from += 1) pixels[to] = table[bytes[from]];
  }
}

/** Pixels of a mask: a tint inside, a line along its border; rows as in `paint`. */
export function paintMask(bytes, rows, columns, tint, line, pixels) {
  const inside = (row, column) =>
    row >= 0 && row < rows && column >= 0 && column < columns && bytes[row * columns + column] > 127;
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const at = (rows - 1 - row) * columns + column;
      if (!inside(row, column)) pixels[at] = 0;
      else {
        const deep =
          inside(row - 1, column) && inside(row + 1, column) &&
          inside(row, column - 1) && inside(row, column + 1);
        pixels[at] = deep ? tint : line;
      }
    }
  }
}

/** Index in an axis of `other` voxels that shows the place of `index` among `length`. */
export function sameIndex(index, length, other) {
  return Math.min(other - 1, Math.floor(((index + 0.5) * other) / length));
}

/** Whether two shapes are those of one body, binned or not: edges in one ratio, by a voxel. */
export function sameBody(shape, other) {
  const ratio = other.map((n, axis) => n / shape[axis]);
  const mean = Math.cbrt(ratio[0] * ratio[1] * ratio[2]);
  return shape.every((n, axis) => Math.abs(other[axis] - n * mean) <= Math.max(1, 0.02 * other[axis]));
}

const GAP = 10;
const SIDE = 150;

/**
 * Places of the four panels, and the scale at which all of the volume is seen.
 *
 * @param {number[]} shape voxels along z, y, x
 * @param {number} width, height of the canvas
 * @param {string} only one panel's name ("z", "y", "x", "power"), or "all"
 * @param {number} zoom panels take more of the canvas, where there is room, when enlarged
 * @returns {{scale: number, panels: Object<string, {x, y, width, height}>}} pixels per voxel; boxes
 */
export function arrange(shape, width, height, only = "all", zoom = 1) {
  const [nz, ny, nx] = shape;
  if (only !== "all") {
    const across = { z: nx, y: nx, x: nz, power: 1 }[only];
    const up = { z: ny, y: nz, x: ny, power: 1 }[only];
    if (only === "power") {
      const edge = Math.min(width, height);
      return { scale: edge, panels: { power: { x: (width - edge) / 2, y: 0, width: edge, height: edge } } };
    }
    return {
      scale: Math.min(width / across, height / up),
      panels: { [only]: { x: 0, y: 0, width, height } },
    };
  }
  const fit = (room, long) => {
    const scale = (room - GAP) / (long + nz);
    return scale * nz >= SIDE ? scale : (room - GAP - SIDE) / long;
  };
  const scale = Math.max(1e-3, Math.min(fit(width, nx), fit(height, ny)));
  const side = Math.max(SIDE, nz * scale);
  const grown = (long, room) => Math.min(room - GAP - side, long * scale * zoom);
  const [left, low] = [grown(nx, width), grown(ny, height)];
  const x = (width - left - GAP - side) / 2;
  const y = (height - low - GAP - side) / 2;
  return {
    scale,
    panels: {
      y: { x, y, width: left, height: side },
      power: { x: x + left + GAP, y, width: side, height: side },
      z: { x, y: y + side + GAP, width: left, height: low },
      x: { x: x + left + GAP, y: y + side + GAP, width: side, height: low },
    },
  };
}

/** Which axis of the volume goes right and which up in each panel; the panel's own is across it. */
export const DIRECTIONS = { z: ["x", "y"], y: ["x", "z"], x: ["z", "y"] };
const AXES = ["z", "y", "x"];

/** The longest round length that fits. `nm`: nanometres per pixel, or 0 where that is not known. */
export function scaleBar(nm, voxelPixels, room) {
  const unit = nm > 0 ? nm : 1 / voxelPixels;
  const most = room * unit;
  let length = 10 ** Math.floor(Math.log10(most));
  for (const factor of [5, 2]) if (length * factor <= most) { length *= factor; break; }
  const number = (value) => String(Number(value.toPrecision(1)));
  let label = `${number(length)} nm`;
  if (!(nm > 0)) label = `${number(length)} voxels`;
  else if (length >= 1000) label = `${number(length / 1000)} µm`;
  else if (length < 1) label = `${number(length * 10)} Å`;
  return { pixels: length / unit, label };
}

/** A box that a canvas axis of `size` pixels shows: pixel of a voxel's left edge, and back. */
export function toPixel(voxel, centre, scale, size) {
  return (voxel - centre) * scale + size / 2;
}
export function toVoxel(pixel, centre, scale, size) {
  return (pixel - size / 2) / scale + centre;
}

/** Directions (kx, kz) of the lines that bound the measured sectors, and sectors that are missing. */
export function wedgeOf(sectors) {
  const lines = [];
  const sorted = [...sectors].sort((a, b) => a[0] - b[0]);
  const missing = [];
  sorted.forEach(([low, high], i) => {
    lines.push(low, high);
    const next = i + 1 < sorted.length ? sorted[i + 1][0] : sorted[0][0] + 180;
    if (next - high > 0.01) missing.push([high, next]);
  });
  return { lines: missing.length ? lines : [], missing };
}

/** Where the ray of an angle (degrees) leaves the square from -1 to 1. */
export function edgeOfSquare(angle) {
  const [dx, dy] = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
  const reach = 1 / Math.max(Math.abs(dx), Math.abs(dy));
  return [dx * reach, dy * reach];
}

/** Binning (1, 2 or 4) by which a slice comes within `wait` ms, and that the screen cannot show anyway. */
export function binning(voxels, bytesPerMs, wait, pixelsPerVoxel) {
  let factor = 1;
  while (factor < 4 && pixelsPerVoxel * factor * 2 <= 1) factor *= 2;
  while (factor < 4 && voxels / factor ** 2 / bytesPerMs > wait) factor *= 2;
  return factor;
}

/** Slices worth having next: two onward in the direction of travel, one back. */
export function ahead(index, step, length) {
  return [index + step, index + 2 * step, index - step].filter((i) => i >= 0 && i < length);
}

/** A value in few letters. */
export function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

/** A name for a picture of something. */
export function pictureName(name, place, ending = "png") {
  const stem = name.replace(/\.[^.]+$/, "").replace(/[^\p{L}\p{N}._-]+/gu, "_") || "volume";
  return `${stem}_${place}.${ending}`;
}

/**
 * What a film will be: frames, pixels and, for noise as tomograms have it, bytes.
 *
 * @param {string} kind "slices", "beside" or "border", which sweeps through one slice for four seconds
 * @param {number[]} sides voxels to the right and upward in a slice, of which the longer gets `edge` pixels
 */
export function filmPlan({ kind, first, last, step, rate, edge }, sides) {
  const frames = kind === "border" ? Math.max(2, 4 * rate) : Math.floor(Math.abs(last - first) / step) + 1;
  const scale = edge / Math.max(...sides);
  const [width, height] = sides.map((side) => Math.max(1, Math.round(side * scale)));
  const pixels = [kind === "beside" ? 2 * width : width, height];
  return { frames, width: pixels[0], height, seconds: frames / rate, bytes: 0.75 * frames * pixels[0] * height };
}

/** Bytes in words. */
export function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

/** Words with {names} filled in. */
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Things by name, of bounded total size; the one not asked for longest goes first. */
export class Cache {
  constructor(most) {
    this.most = most;
    this.size = 0;
    this.entries = new Map();
  }
  get(key) {
    const entry = this.entries.get(key);
    if (!entry) return undefined;
    this.entries.delete(key);
    this.entries.set(key, entry);
    return entry.value;
  }
  put(key, value, size) {
    this.drop(key);
    this.entries.set(key, { value, size });
    this.size += size;
    for (const old of this.entries.keys()) {
      if (this.size <= this.most || old === key) break;
      this.drop(old);
    }
  }
  drop(key) {
    const entry = this.entries.get(key);
    if (!entry) return;
    this.entries.delete(key);
    this.size -= entry.size;
  }
}

/**
 * Asks for one thing at a time for each place in the picture; of those that come while it waits
 * only the newest is asked for next.
 */
export class Latest {
  constructor(ask) {
    this.ask = ask;
    this.busy = new Set();
    this.next = new Map();
    this.dropped = 0;
  }
  /** Want something in a place. */
  want(place, wish) {
    if (this.busy.has(place)) {
      if (this.next.has(place)) this.dropped += 1;
      this.next.set(place, wish);
    } else this.#start(place, wish);
  }
  get idle() {
    return this.busy.size === 0;
  }
  async #start(place, wish) {
    this.busy.add(place);
    try {
      await this.ask(wish);
    } finally {
      this.busy.delete(place);
      const next = this.next.get(place);
      this.next.delete(place);
      if (next !== undefined) this.#start(place, next);
    }
  }
}

/** The keys of the viewer, and under which names its words say what they do. */
const KEYS = [
  ["key_wheel", "does_wheel"], ["Page Up, Page Down", "does_page"], ["key_arrows", "does_arrows"],
  ["key_click", "does_arrows"], ["Ctrl + key_wheel, +, -", "does_zoom"], ["key_drag", "does_pan"],
  ["0", "does_fit"], ["1 2 3 4", "does_alone"], ["A", "does_auto"], ["I", "invert"],
  ["B", "does_swap"], ["[ ]", "does_split"], ["M", "mask"], ["C", "cross"], ["S", "save"],
  ["Space", "playing"],
];

// ------------------------------------------------------------------------------------ loader

/** Bytes with the rows and columns that the server's headers tell. */
async function pictureOf(response) {
  const [rows, columns] = response.headers.get("X-Shape").split(",").map(Number);
  return { rows, columns, bytes: new Uint8Array(await response.arrayBuffer()) };
}

/** The last byte of a film that is whole. */
const FILM_END = 0x3b;

/** An answer that is no picture; `status` is the server's, 0 where it did not answer. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The server's routes. */
class Server {
  constructor(base) {
    this.base = base;
    this.bytesPerMs = 1e5;
  }
  async #get(route, values, signal = undefined) {
    const query = new URLSearchParams(Object.entries(values).filter(([, value]) => value !== undefined));
    let response;
    try {
      response = await fetch(`${this.base}/${route}?${query}`, { credentials: "same-origin", signal });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(0, "no answer");
    }
    if (response.ok) return response;
    const answer = await response.json().catch(() => ({}));
    const detail = typeof answer.detail === "string" ? answer.detail : response.statusText;
    throw new Refused(response.status, detail);
  }
  async about(path, mask) {
    return (await this.#get("about", { path, mask: mask || undefined })).json();
  }
  async slice(about, axis, index, bin) {
    const began = performance.now();
    const { path, version, mask } = about;
    const made = await pictureOf(
      await this.#get("slice", { path, version, axis, index, bin, mask: mask || undefined }),
    );
    const speed = made.bytes.length / Math.max(1, performance.now() - began);
    if (made.bytes.length > 20_000) this.bytesPerMs = 0.6 * this.bytesPerMs + 0.4 * speed;
    return made;
  }
  async spectrum({ path, version }) {
    return pictureOf(await this.#get("spectrum", { path, version }));
  }
  /** A film as it is made; `told` hears of the bytes that are here and of those expected. */
  async film(wish, signal, told) {
    const response = await this.#get("film", wish, signal);
    const parts = [];
    const expected = Number(response.headers.get("X-Bytes"));
    const reader = response.body.getReader();
    for (let size = 0; ; told(size, expected)) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      size += value.length;
    }
    const whole = parts.at(-1)?.at(-1) === FILM_END;
    return whole ? new Blob(parts, { type: "image/gif" }) : null;
  }
}

// -------------------------------------------------------------------------------------- page

const STYLE = `
.iv { --iv-text: #1d2731; --iv-soft: #5b6875; --iv-line: #d5dce3; --iv-face: #ffffff;
  --iv-field: #f3f6f8; --iv-stage: #0d1115; --iv-accent: #17609f; display: flex; flex-wrap: wrap;
  gap: 14px; color: var(--iv-text); font-size: 13px; line-height: 1.4; width: 100%; }
.body--dark .iv { --iv-text: #e4eaf0; --iv-soft: #a3b1bf; --iv-line: #33414e; --iv-face: #19232d;
  --iv-field: #222f3b; --iv-stage: #070a0d; --iv-accent: #7db9ec; color-scheme: dark; }
.iv *, .iv *::before { box-sizing: border-box; }
.iv-main { flex: 1 1 480px; min-width: 0; display: flex; flex-direction: column; }
.iv-stage { position: relative; overflow: hidden; height: var(--iv-height, min(74vh, 860px));
  min-height: 360px; background: var(--iv-stage); border-radius: 8px; touch-action: none; }
.iv-stage canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
.iv-pane { position: absolute; outline: none; cursor: crosshair; border-radius: 2px; }
.iv-pane:focus-visible { box-shadow: inset 0 0 0 2px #7db9ec; }
.iv-border { position: absolute; width: 18px; margin-left: -9px; cursor: ew-resize; }
.iv-border::before { content: "\\2194"; position: absolute; left: 50%; top: 50%; width: 26px;
  height: 26px; margin: -13px; border-radius: 50%; background: #ffd54a; color: #1d2731;
  font: 15px/26px sans-serif; text-align: center; box-shadow: 0 1px 4px #000a; }
.iv-note { position: absolute; left: 50%; bottom: 18px; transform: translateX(-50%); max-width: 86%;
  padding: 6px 12px; border-radius: 6px; background: #000c; color: #fff; pointer-events: none; }
.iv-note.bad { background: #8c1d18; }
.iv-note:empty { display: none; }
.iv-state { display: flex; flex-wrap: wrap; gap: 2px 18px; min-height: 26px; padding: 6px 2px 0;
  color: var(--iv-soft); font-variant-numeric: tabular-nums; }
.iv-state b { color: var(--iv-text); font-weight: 500; }
.iv-side { flex: 0 0 256px; width: 256px; min-width: 0; display: flex; flex-direction: column; gap: 10px; }
.iv-card { margin: 0; padding: 10px 12px 12px; border: 1px solid var(--iv-line); border-radius: 8px;
  background: var(--iv-face); min-width: 0; }
.iv-card > legend { float: left; width: 100%; margin: 0 0 6px; padding: 0; font-weight: 600; }
.iv-card > legend + * { clear: both; }
.iv-row { display: flex; align-items: center; gap: 8px; min-height: 28px; }
.iv-row > span:first-child { flex: 0 0 auto; min-width: 42px; color: var(--iv-soft); }
.iv-row input[type=range], .iv-row select { flex: 1 1 0; min-width: 0; }
.iv input[type=range] { accent-color: var(--iv-accent); height: 22px; margin: 0; }
.iv input[type=checkbox] { accent-color: var(--iv-accent); width: 16px; height: 16px; margin: 0; }
.iv input[type=number], .iv select { height: 28px; border: 1px solid var(--iv-line); color: inherit;
  border-radius: 5px; background: var(--iv-field); font: inherit; padding: 0 6px; }
.iv input[type=number] { width: 62px; }
.iv button { height: 30px; padding: 0 10px; border: 1px solid var(--iv-line); border-radius: 6px;
  background: var(--iv-field); color: inherit; font: inherit; cursor: pointer; white-space: nowrap; }
.iv button:hover { border-color: var(--iv-accent); }
.iv button[aria-pressed=true] { background: var(--iv-accent); border-color: var(--iv-accent);
  color: var(--iv-face); }
.iv :is(button, input, select):focus-visible { outline: 2px solid var(--iv-accent); outline-offset: 1px; }
.iv-check { display: flex; align-items: center; gap: 8px; min-height: 26px; cursor: pointer; }
.iv-buttons { display: flex; flex-wrap: wrap; gap: 6px; }
.iv-bar { margin-bottom: 8px; }
.iv-histogram { display: block; width: 100%; height: 62px; border-radius: 4px; cursor: ew-resize;
  background: var(--iv-field); margin-bottom: 4px; }
.iv-percent { color: var(--iv-soft); margin: 2px 0 6px; min-height: 18px; }
.iv-keys { margin: auto; max-width: 560px; border: 1px solid var(--iv-line); border-radius: 10px; padding: 18px 22px;
  background: var(--iv-face); color: var(--iv-text); }
.iv-keys::backdrop { background: #0008; }
.iv-keys h2 { margin: 0 0 10px; font-size: 17px; line-height: 1.3; font-weight: 600; }
.iv-keys dl { display: grid; grid-template-columns: max-content 1fr; gap: 5px 18px; margin: 0 0 14px; }
.iv-keys dt { font-weight: 600; } .iv-keys dd { margin: 0; color: var(--iv-soft); }
.iv-film { width: 520px; }
.iv-film progress { width: 100%; height: 8px; margin-bottom: 10px; accent-color: var(--iv-accent); }
.iv-film .iv-row > span:first-child { flex: 0 0 150px; }
.iv button:disabled { opacity: 0.5; cursor: default; }
@media (max-width: 1100px) { .iv-side { flex: 1 1 100%; flex-direction: row; flex-wrap: wrap; }
  .iv-side > * { flex: 1 1 230px; } }
`;

const FIRE = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
const LINE = "#ffd54a";
const CROSS = "rgba(110, 200, 255, 0.75)";
const AUTO = [0.5, 99.5];

/** The colours of a spectrum as 32-bit pixels. */
function fire() {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    const place = (byte / 255) * (FIRE.length - 1);
    const i = Math.min(FIRE.length - 2, Math.floor(place));
    const [r, g, b] = FIRE[i].map((from, c) => Math.round(from + (FIRE[i + 1][c] - from) * (place - i)));
    return (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
  });
}

/** Make an element: properties that it has are set, others become attributes. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/**
 * A viewer in an element of a page.
 *
 * `texts` holds what it says, by name. `open(spec)` shows: `volumes` [{name, path}], of which `first` and `second` (or null) are the
 * paths shown left and right of a border; `mask` (a path or null); `sectors`, the measured tilt
 * ranges [[low, high], ...] in degrees; `pixel`, angstrom, where the file's is not to be believed;
 * `beside`, whether both are shown whole side by side, with all places and contrasts in common.
 */
export class Viewer {
  constructor(root, { api, texts, moved = () => {} }) {
    this.root = root;
    this.texts = texts;
    this.server = new Server(api);
    this.moved = moved;
    this.cache = new Cache(160e6);
    this.requests = new Latest((wish) => this.#fetch(wish));
    this.abouts = new Map();
    this.windows = new Map();
    this.bitmaps = new Map();
    this.spec = { volumes: [], first: null, second: null, mask: null, sectors: [], pixel: null };
    this.at = { z: 0, y: 0, x: 0 };
    this.centre = { z: 0, y: 0, x: 0 };
    this.step = { z: 1, y: 1, x: 1 };
    this.last = "z";
    this.zoom = 1;
    this.split = 0.5;
    this.beside = false;
    this.only = "all";
    this.shows = { cross: true, bar: true, wedge: true, mask: true, invert: false };
    this.opacity = 0.2;
    this.stats = { draws: 0, fetched: 0, moved: 0 };
    this.closed = false;
    this.#build();
    this.observer = new ResizeObserver(() => this.redraw());
    this.observer.observe(this.stage);
    this.themes = new MutationObserver(() => this.#drawHistogram());
    this.themes.observe(document.body, { attributes: true, attributeFilter: ["class"] });
    window.__viewer = this;
  }

  // ---- opening

  /** Show other volumes; where they are of one shape, place and contrast stay. */
  async open(spec) {
    if (spec.beside !== this.spec.beside) this.beside = Boolean(spec.beside);
    this.spec = { ...this.spec, ...spec };
    const paths = this.spec.volumes.map(({ path }) => path);
    if (!paths.includes(this.spec.first)) this.spec.first = paths[0] ?? null;
    if (!paths.includes(this.spec.second)) this.spec.second = null;
    this.#fillChoices();
    await this.#load();
  }

  async #load() {
    const { first, second, mask } = this.spec;
    if (first === null) return;
    const before = this.shape;
    this.say(fill(this.texts.opening, { name: first.split("/").pop() }));
    try {
      const [one, other, over] = await Promise.all([
        this.#about(first), second ? this.#about(second) : null, mask ? this.#about(mask, true) : null,
      ]);
      if (this.spec.first !== first || this.spec.second !== second || this.spec.mask !== mask) return;
      this.about = one;
      this.other = other;
      this.over = over;
    } catch (error) {
      this.#failed(error, () => this.#load());
      return;
    }
    this.shape = this.about.shape;
    this.size = Object.fromEntries(AXES.map((axis, i) => [axis, this.shape[i]]));
    if (!before || before.some((n, i) => n !== this.shape[i])) this.#toMiddle();
    this.say("");
    for (const one of [this.other, this.over]) {
      if (one && !sameBody(this.shape, one.shape)) {
        const names = { other: one.name, others: one.shape.join(" x "), name: this.about.name };
        this.say(fill(this.texts.otherBody, { ...names, shape: this.shape.join(" x ") }), true);
        if (one === this.other) this.other = null;
        else this.over = null;
      }
    }
    this.#refreshControls();
    this.redraw();
  }

  async #about(path, mask = false) {
    const key = `${mask ? "mask " : ""}${path}`;
    if (!this.abouts.has(key)) {
      const about = await this.server.about(path, mask);
      about.path = path;
      about.mask = mask;
      about.below = cumulative(about.counts);
      this.abouts.set(key, about);
      if (!mask && !this.windows.has(path)) this.windows.set(path, this.#window(about, AUTO));
    }
    return this.abouts.get(key);
  }

  /** Ask anew what the files are: some were replaced. */
  async refresh() {
    this.abouts.clear();
    await this.#load();
  }

  #window(about, [low, high]) {
    const window = [levelAt(about.below, low), levelAt(about.below, high)];
    return window[1] > window[0] ? window : [window[0], window[0] + 1];
  }

  #toMiddle() {
    for (const axis of AXES) {
      this.at[axis] = Math.floor(this.size[axis] / 2);
      this.centre[axis] = this.size[axis] / 2;
    }
    this.zoom = 1;
  }

  /** Angstrom along the edge of a voxel, or null. */
  get pixel() {
    return this.spec.pixel ?? this.about?.voxel_size?.[2] ?? null;
  }

  // ---- slices

  /** What is to be drawn in a place: the best picture there is; a better one is asked for. */
  #picture(place, about, axis, index) {
    const own = axis === "power" ? 0 : sameIndex(index, this.size[axis], about.shape[AXES.indexOf(axis)]);
    const key = (bin) => `${about.path}|${about.version}|${axis}|${own}|${bin}`;
    const bins = [1, 2, 4];
    const wanted = axis === "power" ? 1 : this.#binning(about, axis);
    for (const bin of bins) {
      const found = bin <= wanted && this.cache.get(key(bin));
      if (found) return found;
    }
    this.requests.want(place, { about, axis, index: own, bin: wanted, key: key(wanted) });
    for (const bin of bins) if (bin > wanted && this.cache.get(key(bin))) return this.cache.get(key(bin));
    return null;
  }

  #binning(about, axis) {
    const [right, up] = DIRECTIONS[axis];
    const voxels = about.shape[AXES.indexOf(right)] * about.shape[AXES.indexOf(up)];
    const ratio = about.shape[AXES.indexOf(right)] / this.size[right];
    const screen = ((this.scale ?? 1) * (window.devicePixelRatio || 1)) / ratio;
    const resting = performance.now() - this.stats.moved > 200;
    return binning(voxels, this.server.bytesPerMs, resting ? Infinity : 60, screen);
  }

  async #fetch({ about, axis, index, bin, key }) {
    if (this.closed || this.cache.get(key)) return;
    try {
      const made = axis === "power"
        ? await this.server.spectrum(about)
        : await this.server.slice(about, axis, index, bin);
      this.stats.fetched += 1;
      this.cache.put(key, { ...made, key }, made.bytes.length);
      if (this.lost) this.say("");
      this.lost = false;
    } catch (error) {
      if (error.status === 409) await this.refresh();
      else this.#failed(error, () => this.redraw());
      return;
    }
    this.redraw();
  }

  #failed(error, again) {
    this.lost = error.status === 0;
    this.say(this.lost ? this.texts.lost : error.message, true);
    if (this.lost && !this.closed) setTimeout(again, 1500);
  }

  #prefetch() {
    const axis = this.last;
    const step = this.step[axis];
    for (const about of [this.about, this.other]) {
      if (!about) continue;
      const wanted = this.#binning(about, axis);
      for (const index of ahead(this.at[axis], step, this.size[axis])) {
        const own = sameIndex(index, this.size[axis], about.shape[AXES.indexOf(axis)]);
        const key = `${about.path}|${about.version}|${axis}|${own}|${wanted}`;
        if (!this.cache.get(key)) {
          this.requests.want("ahead", { about, axis, index: own, bin: wanted, key });
          return;
        }
      }
    }
  }

  // ---- drawing

  /** Draw at the next frame. */
  redraw() {
    if (this.frame || this.closed) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = null;
      if (!this.closed && this.about) this.#drawStage();
    });
  }

  #drawStage() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !height) return;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const room = this.apart ? (width - GAP) / 2 : width;
    const layout = arrange(this.shape, room, height, this.only, this.zoom);
    this.shift = room + GAP;
    this.fitted = layout.scale;
    this.scale = layout.scale * this.zoom;
    this.boxes = layout.panels;
    const context = this.canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.whole = this.#draw(context, width, height);
    this.stats.draws += 1;
    this.#placePanes();
    this.#refreshPosition();
    if (this.whole && this.requests.idle) this.#prefetch();
    clearTimeout(this.restTimer);
    if (performance.now() - this.stats.moved <= 200) this.restTimer = setTimeout(() => this.redraw(), 210);
  }

  /** Draw all panels; true when nothing was missing. */
  #draw(context, width, height) {
    context.fillStyle = getComputedStyle(this.stage).backgroundColor;
    context.fillRect(0, 0, width, height);
    context.font = "12px system-ui, sans-serif";
    let whole = true;
    for (const [name, box, side] of this.#places()) {
      context.save();
      context.beginPath();
      context.rect(box.x, box.y, box.width, box.height);
      context.clip();
      context.fillStyle = "#161c22";
      context.fillRect(box.x, box.y, box.width, box.height);
      const drawn = name === "power" ? this.#drawPower(context, box, side) : this.#drawSlice(context, name, box, side);
      whole = drawn && whole;
      context.restore();
    }
    if (this.shows.bar) this.#drawBar(context);
    return whole;
  }

  /** Whether two volumes are shown whole, one beside the other. */
  get apart() {
    return this.beside && this.other !== null && this.other !== undefined;
  }

  /** Panels with their boxes and which volume they show: null where the border divides it. */
  #places() {
    const boxes = Object.entries(this.boxes);
    if (!this.apart) return boxes.map(([name, box]) => [name, box, null]);
    const right = boxes.map(([name, box]) => [name, { ...box, x: box.x + this.shift }, 1]);
    return [...boxes.map(([name, box]) => [name, box, 0]), ...right];
  }

  /** A painted slice as something that can be drawn; the one of the place before is kept. */
  #bitmap(place, picture, look, paintInto) {
    const kept = this.bitmaps.get(place);
    if (!picture) return kept?.canvas ?? null;
    const key = `${picture.key}|${look}`;
    if (kept?.key === key) return kept.canvas;
    const canvas = kept?.canvas ?? document.createElement("canvas");
    canvas.width = picture.columns;
    canvas.height = picture.rows;
    const image = new ImageData(picture.columns, picture.rows);
    paintInto(picture, new Uint32Array(image.data.buffer));
    canvas.getContext("2d").putImageData(image, 0, 0);
    this.bitmaps.set(place, { key, canvas });
    return canvas;
  }

  #grey(place, about, axis, index) {
    const picture = this.#picture(place, about, axis, index);
    const [low, high] = this.windows.get(about.path);
    const invert = this.shows.invert;
    const canvas = this.#bitmap(place, picture, `${low}|${high}|${invert}`, (made, pixels) =>
      paint(made.bytes, made.rows, made.columns, greys(low, high, invert), pixels));
    return { canvas, there: picture !== null };
  }

  #target(axis, box) {
    const [right, up] = DIRECTIONS[axis];
    const x = box.x + toPixel(0, this.centre[right], this.scale, box.width);
    const bottom = box.y + box.height - toPixel(0, this.centre[up], this.scale, box.height);
    const [w, h] = [this.size[right] * this.scale, this.size[up] * this.scale];
    return [x, bottom - h, w, h];
  }

  #drawSlice(context, axis, box, which) {
    const target = this.#target(axis, box);
    context.imageSmoothingEnabled = this.scale < 2;
    context.imageSmoothingQuality = "medium";
    const sides = this.#sides(box, which);
    let whole = true;
    for (const [about, from, to, side] of sides) {
      const { canvas, there } = this.#grey(`${axis}${side}`, about, axis, this.at[axis]);
      whole &&= there;
      if (!canvas) continue;
      context.save();
      context.beginPath();
      context.rect(from, box.y, to - from, box.height);
      context.clip();
      context.drawImage(canvas, ...target);
      context.restore();
    }
    if (this.over && this.shows.mask) whole = this.#drawMask(context, axis, target) && whole;
    if (this.shows.cross) this.#drawCross(context, axis, box);
    this.#drawBorder(context, box, which, axis === "z" || this.only !== "all");
    const [panel, letter] = { z: ["xy", "z"], y: ["xz", "y"], x: ["yz", "x"] }[axis];
    this.#label(context, `${this.texts[panel]}   ${letter} ${this.at[axis] + 1}`, box.x + 8, box.y + 17);
    return whole;
  }

  /** Which volume is drawn from where to where: one, or two with the border between them. */
  #sides(box, which) {
    const end = box.x + box.width;
    if (which !== null) return [which ? [this.other, box.x, end, "'"] : [this.about, box.x, end, ""]];
    if (!this.other) return [[this.about, box.x, end, ""]];
    const border = box.x + this.split * box.width;
    return [[this.about, box.x, border, ""], [this.other, border, end, "'"]];
  }

  #drawMask(context, axis, target) {
    const picture = this.#picture(`${axis}m`, this.over, axis, this.at[axis]);
    const tint = ((Math.round(255 * this.opacity) << 24) | 0x00a8ff) >>> 0;
    const canvas = this.#bitmap(`${axis}m`, picture, tint, (made, pixels) =>
      paintMask(made.bytes, made.rows, made.columns, tint, 0xff00a8ff, pixels));
    if (canvas) {
      context.imageSmoothingEnabled = false;
      context.drawImage(canvas, ...target);
    }
    return picture !== null;
  }

  #drawCross(context, axis, box) {
    const [right, up] = DIRECTIONS[axis];
    const x = box.x + toPixel(this.at[right] + 0.5, this.centre[right], this.scale, box.width);
    const y = box.y + box.height - toPixel(this.at[up] + 0.5, this.centre[up], this.scale, box.height);
    context.strokeStyle = CROSS;
    context.lineWidth = 1;
    context.beginPath();
    const hole = 7;
    for (const [x1, y1, x2, y2] of [
      [box.x, y, x - hole, y], [x + hole, y, box.x + box.width, y],
      [x, box.y, x, y - hole], [x, y + hole, x, box.y + box.height],
    ]) {
      context.moveTo(Math.round(x1) + 0.5, Math.round(y1) + 0.5);
      context.lineTo(Math.round(x2) + 0.5, Math.round(y2) + 0.5);
    }
    context.stroke();
  }

  #drawBorder(context, box, which, named) {
    if (!this.other) return;
    const name = (path) => this.spec.volumes.find((volume) => volume.path === path)?.name ?? "";
    const low = box.y + 38;
    if (which !== null) {
      if (named) this.#label(context, name((which ? this.other : this.about).path), box.x + 8, low);
      return;
    }
    const border = Math.round(box.x + this.split * box.width);
    context.fillStyle = LINE;
    context.fillRect(border - 1, box.y, 2, box.height);
    if (!named) return;
    this.#label(context, name(this.about.path), box.x + 8, low);
    context.textAlign = "right";
    this.#label(context, name(this.other.path), box.x + box.width - 8, low);
    context.textAlign = "left";
  }

  #label(context, text, x, y, colour = "#f2f5f7") {
    context.lineWidth = 3;
    context.strokeStyle = "rgba(0, 0, 0, 0.75)";
    context.lineJoin = "round";
    context.strokeText(text, x, y);
    context.fillStyle = colour;
    context.fillText(text, x, y);
  }

  #drawPower(context, box, which) {
    const edge = Math.min(box.width, box.height);
    const square = { x: box.x + (box.width - edge) / 2, y: box.y + (box.height - edge) / 2, width: edge };
    let whole = true;
    for (const [about, from, to, side] of this.#sides({ ...box, x: square.x, width: edge }, which)) {
      const picture = this.#picture(`power${side}`, about, "power", 0);
      whole &&= picture !== null;
      const canvas = this.#bitmap(`power${side}`, picture, "fire", (made, pixels) =>
        paint(made.bytes, made.rows, made.columns, this.fire, pixels));
      if (!canvas) continue;
      context.save();
      context.beginPath();
      context.rect(from, box.y, to - from, box.height);
      context.clip();
      context.imageSmoothingEnabled = true;
      context.drawImage(canvas, square.x, square.y, edge, edge);
      context.restore();
    }
    if (this.shows.wedge) this.#drawWedge(context, square);
    this.#drawBorder(context, { ...box, x: square.x, width: edge }, which, false);
    this.#label(context, this.texts.power, box.x + 8, box.y + 17);
    return whole;
  }

  #drawWedge(context, square) {
    const { lines, missing } = wedgeOf(this.spec.sectors);
    const half = square.width / 2;
    const [x, y] = [square.x + half, square.y + half];
    const place = ([kx, kz]) => [x + half * kx, y - half * kz];
    context.strokeStyle = "rgba(255, 255, 255, 0.9)";
    context.lineWidth = 1.2;
    context.setLineDash([5, 4]);
    for (const angle of lines) {
      context.beginPath();
      context.moveTo(...place(edgeOfSquare(angle)));
      context.lineTo(...place(edgeOfSquare(angle + 180)));
      context.stroke();
    }
    context.setLineDash([]);
    if (square.width < 140) return;
    context.textAlign = "center";
    for (const [low, high] of missing) {
      const [kx, kz] = edgeOfSquare((low + high) / 2);
      this.#label(context, this.texts.missing, ...place([kx * 0.72, -Math.abs(kz) * 0.72]));
    }
    context.textAlign = "left";
  }

  #drawBar(context) {
    const name = this.boxes.z ? "z" : Object.keys(this.boxes)[0];
    if (name === "power") return;
    const box = this.boxes[name];
    const nm = this.pixel ? this.pixel / 10 / this.scale : 0;
    const bar = scaleBar(nm, this.scale, Math.min(200, box.width * 0.3));
    const [x, y] = [box.x + 16, box.y + box.height - 18];
    context.fillStyle = "rgba(0, 0, 0, 0.6)";
    context.fillRect(x - 2, y - 2, bar.pixels + 4, 8);
    context.fillStyle = "#ffffff";
    context.fillRect(x, y, bar.pixels, 4);
    this.#label(context, bar.label, x, y - 7);
  }

  // ---- pictures

  /** What is seen as a canvas of its own, with a line of words below. */
  compose() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    const ratio = Math.max(2, window.devicePixelRatio || 1);
    const foot = 26;
    const canvas = make("canvas", { width: width * ratio, height: (height + foot) * ratio });
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    this.#draw(context, width, height);
    context.fillStyle = "#ffffff";
    context.fillRect(0, height, width, foot);
    context.fillStyle = "#1d2731";
    context.font = "13px system-ui, sans-serif";
    context.fillText(this.#caption(), 10, height + 17, width - 20);
    return canvas;
  }

  #caption() {
    const names = [this.about.name, ...(this.other ? [this.other.name] : [])].join("  |  ");
    const place = ["x", "y", "z"].map((axis) => `${axis} ${this.at[axis] + 1}`).join(", ");
    return `${names}    ${place}    ${this.pixel ? `${short(this.pixel)} Å/${this.texts.voxel}` : this.texts.noSize}`;
  }

  /** Save the picture as a file. */
  async save() {
    const place = this.only === "all" ? `z${this.at.z + 1}` : this.only;
    this.#keep(await this.#blob(), pictureName(this.about.name, place));
    this.say(this.texts.saved, false, 2500);
  }

  #keep(blob, name) {
    const link = make("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  /** Put the picture on the clipboard, or save it where that is not allowed. */
  async copy() {
    try {
      await navigator.clipboard.write([new ClipboardItem({ "image/png": this.#blob() })]);
      this.say(this.texts.copied, false, 2500);
    } catch {
      await this.save();
      this.say(this.texts.cannotCopy, false, 5000);
    }
  }

  /** Choose what a film shows; the server makes it. */
  askForFilm() {
    if (!this.about) return;
    this.filmKind.value = this.apart ? "beside" : "slices";
    this.filmKind.parentElement.style.display = this.other ? "" : "none";
    this.filmAxis.value = this.only in DIRECTIONS ? this.only : "z";
    this.#fillFilm();
    this.films.showModal();
  }

  /** All slices of the chosen axis, so many that the film stays short. */
  #fillFilm() {
    const length = this.size[this.filmAxis.value];
    const { first, last, step } = this.filmNumbers;
    for (const one of [first, last, step]) one.max = length;
    [first.value, last.value, step.value] = [1, length, Math.ceil(length / 200)];
    this.#tellFilm();
  }

  /** What the film will be, as the dialog says it. */
  #filmWish() {
    const numbers = Object.entries(this.filmNumbers).map(([name, { value, min, max }]) =>
      [name, Math.min(Number(max), Math.max(Number(min), Math.round(Number(value)) || Number(min)))]);
    const wish = { kind: this.filmKind.value, axis: this.filmAxis.value, ...Object.fromEntries(numbers) };
    if (wish.kind === "border") wish.first = wish.last = this.at[wish.axis] + 1;
    return wish;
  }

  #tellFilm() {
    const wish = this.#filmWish();
    const [left, bottom, right, top] = this.#seen(wish.axis);
    const [across, up] = DIRECTIONS[wish.axis].map((axis) => this.size[axis]);
    const plan = filmPlan(wish, [(right - left) * across, (top - bottom) * up]);
    const sizes = { ...plan, seconds: plan.seconds.toFixed(1), size: megabytes(plan.bytes) };
    for (const row of this.filmRange) row.style.display = wish.kind === "border" ? "none" : "";
    this.filmSaid.textContent = fill(this.texts.filmPlan, sizes);
  }

  /** The part of a slice that its panel shows, as fractions of it: left, bottom, right, top. */
  #seen(axis) {
    const box = this.boxes?.[axis];
    if (!box) return [0, 0, 1, 1];
    const [across, up] = DIRECTIONS[axis];
    const ends = (one, room) => [0, room].map((pixel) =>
      Math.min(1, Math.max(0, toVoxel(pixel, this.centre[one], this.scale, room) / this.size[one])));
    const [[left, right], [bottom, top]] = [ends(across, box.width), ends(up, box.height)];
    return [left, bottom, right, top];
  }

  /** Let the server make the film, and save it. */
  async film() {
    const wish = this.#filmWish();
    const [left, bottom, right, top] = this.#seen(wish.axis);
    const volume = (about) => {
      const [low, high] = this.windows.get(about.path);
      const name = this.spec.volumes.find(({ path }) => path === about.path)?.name ?? about.name;
      return { path: about.path, version: about.version, low, high, name: name.slice(0, 80) };
    };
    const second = this.other ? volume(this.other) : {};
    const asked = {
      ...volume(this.about), ...wish, first: wish.first - 1, last: wish.last - 1,
      left, bottom, right, top, split: this.split, invert: this.shows.invert, pixel: this.pixel ?? undefined,
      second: second.path, second_version: second.version, second_low: second.low, second_high: second.high,
      second_name: second.name,
    };
    this.filming = new AbortController();
    this.filmButton.disabled = true;
    this.filmBar.value = 0;
    this.filmBar.hidden = false;
    const told = (size, expected) => {
      const percent = Math.min(99, Math.round((100 * size) / expected));
      this.filmBar.value = percent;
      this.filmSaid.textContent = fill(this.texts.filming, { percent, size: megabytes(size), all: megabytes(expected) });
    };
    try {
      const blob = await this.server.film(asked, this.filming.signal, told);
      if (!blob) throw new Refused(500, this.texts.filmBroken);
      this.#keep(blob, pictureName(this.about.name, wish.kind === "border" ? wish.kind : wish.axis, "gif"));
      this.filmSaid.textContent = fill(this.texts.filmed, { size: megabytes(blob.size) });
    } catch (error) {
      if (error.name === "AbortError") this.#tellFilm();
      else this.filmSaid.textContent = error.status > 0 ? error.message : this.texts.filmBroken;
    } finally {
      this.filmBar.hidden = true;
      this.filmButton.disabled = false;
    }
  }

  #blob() {
    return new Promise((resolve) => this.compose().toBlob(resolve, "image/png"));
  }

  // ---- moving

  /** Go to a slice of each axis that is named. */
  goto(place) {
    for (const [axis, index] of Object.entries(place)) {
      const next = Math.min(this.size[axis] - 1, Math.max(0, Math.round(index)));
      if (Number.isNaN(next) || next === this.at[axis]) continue;
      this.step[axis] = next > this.at[axis] ? 1 : -1;
      this.last = axis;
      this.at[axis] = next;
      this.#keepInSight(axis);
    }
    this.stats.moved = performance.now();
    this.moved({ ...this.at });
    this.redraw();
  }

  #keepInSight(axis) {
    if (this.zoom <= 1) return;
    const name = Object.keys(DIRECTIONS).find((n) => DIRECTIONS[n].includes(axis) && this.boxes?.[n]);
    if (!name) return;
    const box = this.boxes[name];
    const room = (DIRECTIONS[name][0] === axis ? box.width : box.height) / this.scale / 2;
    const beyond = Math.abs(this.at[axis] - this.centre[axis]) - room;
    if (beyond > 0) this.centre[axis] = this.at[axis];
  }

  /** Enlarge by a factor; what lies below a pointer stays there. */
  enlarge(factor, axis = null, x = 0, y = 0) {
    const next = Math.min(40, Math.max(1, this.zoom * factor));
    if (axis) {
      const [right, up] = DIRECTIONS[axis];
      const box = this.boxes[axis];
      const scale = this.fitted * next;
      const here = this.#voxelAt(axis, x, y);
      this.centre[right] = here[right] - (x - box.width / 2) / scale;
      this.centre[up] = here[up] - (box.height - y - box.height / 2) / scale;
    } else if (this.zoom === 1) for (const one of AXES) this.centre[one] = this.at[one] + 0.5;
    this.zoom = next;
    if (next === 1) for (const one of AXES) this.centre[one] = this.size[one] / 2;
    this.redraw();
  }

  #voxelAt(axis, x, y) {
    const [right, up] = DIRECTIONS[axis];
    const box = this.boxes[axis];
    return {
      [right]: toVoxel(x, this.centre[right], this.scale, box.width),
      [up]: toVoxel(box.height - y, this.centre[up], this.scale, box.height),
    };
  }

  /** See all of the volume. */
  fit() {
    this.enlarge(0);
  }

  /** Show one panel alone, or all. */
  alone(panel) {
    this.only = this.only === panel ? "all" : panel;
    this.panelChoice.value = this.only;
    this.redraw();
  }

  /** Choose grey levels of the left volume; the right one's follow by percentage. */
  contrast(low, high) {
    const window = high > low ? [low, high] : [low, low + 1];
    this.windows.set(this.about.path, window);
    if (this.other) this.windows.set(this.other.path, matchWindow(this.about.below, window, this.other.below));
    this.#refreshContrast();
    this.redraw();
  }

  /** Contrast by percentages of the voxels. */
  percentiles(low, high) {
    for (const about of [this.about, this.other]) {
      if (about) this.windows.set(about.path, this.#window(about, [low, high]));
    }
    this.#refreshContrast();
    this.redraw();
  }

  /** Swap left and right. */
  swap() {
    if (!this.spec.second) return;
    [this.spec.first, this.spec.second] = [this.spec.second, this.spec.first];
    this.#fillChoices();
    this.#load();
  }

  /** Show two volumes whole, or with the border between them. */
  besides(on) {
    this.beside = on;
    this.besideCheck.checked = on;
    this.#refreshControls();
    this.redraw();
  }

  /** Move the border between before and after. */
  divide(part) {
    this.split = Math.min(1, Math.max(0, part));
    this.splitRange.value = this.split;
    this.redraw();
  }

  /** Switch something on or off. */
  toggle(what) {
    this.shows[what] = !this.shows[what];
    this.checks[what].checked = this.shows[what];
    this.redraw();
  }

  /** Go through the slices, each as soon as the one before is drawn. */
  play() {
    this.playing = !this.playing;
    this.playButton.textContent = this.playing ? this.texts.pause : this.texts.play;
    const next = () => {
      if (!this.playing || this.closed) return;
      const axis = this.only === "all" || this.only === "power" ? "z" : this.only;
      if (this.whole) this.goto({ [axis]: (this.at[axis] + 1) % this.size[axis] });
      setTimeout(next, 70);
    };
    next();
  }

  /** Say something in the picture; for some time, if that is given. */
  say(text, bad = false, time = 0) {
    this.failing = bad;
    this.note.textContent = text;
    this.note.classList.toggle("bad", bad);
    clearTimeout(this.noteTimer);
    if (time) this.noteTimer = setTimeout(() => this.say(""), time);
  }

  /** Resolves when everything that is wanted is drawn. */
  async ready() {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (this.failing && this.note.textContent) throw new Error(this.note.textContent);
      const resting = performance.now() - this.stats.moved > 220;
      if (this.about && this.whole && this.requests.idle && !this.frame && resting) return this.state();
    }
  }

  /** What is seen, for tests. */
  state() {
    return {
      at: { ...this.at }, zoom: this.zoom, split: this.split, only: this.only, shape: this.shape,
      first: this.spec.first, second: this.other?.path ?? null, beside: this.apart, mask: this.over?.path ?? null,
      window: this.windows.get(this.spec.first), stats: { ...this.stats }, boxes: this.boxes,
      shows: { ...this.shows }, note: this.note.textContent, cached: this.cache.size,
    };
  }

  /** Stop everything. */
  close() {
    this.closed = true;
    this.playing = false;
    this.filming?.abort();
    this.observer.disconnect();
    this.themes.disconnect();
    document.removeEventListener("keydown", this.keydown);
    clearTimeout(this.restTimer);
    if (window.__viewer === this) delete window.__viewer;
  }

  // ---- controls

  #build() {
    if (!document.getElementById("iv-style")) {
      document.head.append(make("style", { id: "iv-style", textContent: STYLE }));
    }
    this.fire = fire();
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.panes = [0, 1].map((side) => Object.fromEntries(AXES.map((axis) => [axis, this.#pane(axis, side)])));
    this.border = make("div", { class: "iv-border", "aria-hidden": "true", hidden: true });
    this.#drags(this.border, (event) => {
      const box = this.boxes.z ?? Object.values(this.boxes)[0];
      this.divide((event.clientX - this.stage.getBoundingClientRect().left - box.x) / box.width);
    });
    this.note = make("div", { class: "iv-note", role: "status" });
    this.stage = make("div", { class: "iv-stage" }, this.canvas, ...this.panes.flatMap(Object.values), this.border, this.note);
    this.readout = make("div", { class: "iv-state" });
    const main = make("div", { class: "iv-main" }, this.#buttons(), this.stage, this.readout);
    const side = make("div", { class: "iv-side" }, this.#volumeCard(), this.#positionCard(),
      this.#contrastCard(), this.#displayCard());
    this.keys = this.#keysDialog();
    this.films = this.#filmDialog();
    this.root.classList.add("iv");
    this.root.setAttribute("role", "group");
    this.root.setAttribute("aria-label", this.texts.viewer);
    this.root.replaceChildren(main, side, this.keys, this.films);
    this.keydown = (event) => {
      const here = this.root.contains(event.target);
      if (here || (event.target === document.body && window.__viewer === this)) this.#key(event);
    };
    document.addEventListener("keydown", this.keydown);
  }

  #card(title, ...children) {
    const body = make("div", {}, ...children);
    return make("fieldset", { class: "iv-card" }, make("legend", {}, title), body);
  }

  #row(label, ...children) {
    return make("label", { class: "iv-row" }, make("span", {}, label), ...children);
  }

  #button(text, onclick, more = {}) {
    return make("button", { type: "button", textContent: text, onclick, ...more });
  }

  #volumeCard() {
    const choose = (which) => (event) => {
      this.spec[which] = event.target.value || null;
      this.#load();
    };
    this.firstChoice = make("select", { onchange: choose("first") });
    this.secondChoice = make("select", { onchange: choose("second") });
    this.splitRange = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: this.split,
      "aria-label": this.texts.split, oninput: (event) => this.divide(Number(event.target.value)) });
    this.splitRow = make("div", { class: "iv-row" }, make("span", {}), this.splitRange,
      this.#button("\u21c4", () => this.swap(), { "aria-label": this.texts.swap, title: this.texts.swap }));
    this.besideCheck = make("input", { type: "checkbox", onchange: (event) => this.besides(event.target.checked) });
    this.besideRow = make("label", { class: "iv-check" }, this.besideCheck, this.texts.beside);
    this.afterRow = this.#row(this.texts.after, this.secondChoice);
    return this.#card(this.texts.compare, this.#row(this.texts.before, this.firstChoice), this.afterRow, this.splitRow, this.besideRow);
  }

  #positionCard() {
    this.places = {};
    const rows = ["x", "y", "z"].map((axis) => {
      const go = (event) => this.goto({ [axis]: Number(event.target.value) - 1 });
      const range = make("input", { type: "range", min: 1, step: 1, oninput: go, "aria-label": axis });
      const number = make("input", { type: "number", min: 1, step: 1, onchange: go, "aria-label": `${axis} 1 - n` });
      this.places[axis] = { range, number };
      return make("div", { class: "iv-row" }, make("span", {}, axis), range, number);
    });
    return this.#card(this.texts.position, ...rows);
  }

  #contrastCard() {
    this.histogram = make("canvas", { class: "iv-histogram", "aria-hidden": "true" });
    this.#drags(this.histogram, (event) => {
      const box = this.histogram.getBoundingClientRect();
      const level = (256 * (event.clientX - box.left)) / box.width;
      const [low, high] = this.windows.get(this.about.path);
      const lower = Math.abs(level - low) < Math.abs(level - high);
      this.contrast(lower ? level : low, lower ? high : level);
    });
    const range = (end) => make("input", { type: "range", min: 0, max: 256, step: 0.5,
      oninput: (event) => {
        const [low, high] = this.windows.get(this.about.path);
        const level = Number(event.target.value);
        if (end === 0) this.contrast(Math.min(level, high - 1), high);
        else this.contrast(low, Math.max(level, low + 1));
      } });
    this.ends = [range(0), range(1)];
    this.percents = make("div", { class: "iv-percent" });
    return this.#card(this.texts.contrast, this.histogram,
      this.#row(this.texts.low, this.ends[0]), this.#row(this.texts.high, this.ends[1]), this.percents,
      make("div", { class: "iv-buttons" },
        this.#button(this.texts.auto, () => this.percentiles(...AUTO)),
        this.#button(this.texts.full, () => this.percentiles(0, 100))));
  }

  #displayCard() {
    this.checks = {};
    const check = (what, label) => {
      this.checks[what] = make("input", { type: "checkbox", checked: this.shows[what], onchange: () => this.toggle(what) });
      return make("label", { class: "iv-check" }, this.checks[what], label);
    };
    const opacity = make("input", { type: "range", min: 0, max: 1, step: 0.05, value: this.opacity,
      oninput: (event) => { this.opacity = Number(event.target.value); this.redraw(); } });
    this.maskRows = [check("mask", this.texts.mask), this.#row(this.texts.opacity, opacity)];
    return this.#card(this.texts.display, ...this.maskRows, check("cross", this.texts.cross),
      check("bar", this.texts.bar), check("wedge", this.texts.wedge), check("invert", this.texts.invert));
  }

  #buttons() {
    this.panelChoice = make("select", {
      "aria-label": this.texts.panels,
      onchange: (event) => { this.only = event.target.value; this.redraw(); },
    });
    const names = [["all", "all"], ["z", "xy"], ["y", "xz"], ["x", "yz"], ["power", "power"]];
    this.panelChoice.append(...names.map(([value, text]) => make("option", { value, textContent: this.texts[text] })));
    this.playButton = this.#button(this.texts.play, () => this.play(), { title: this.texts.playing });
    const { larger, smaller } = this.texts;
    return make("div", { class: "iv-buttons iv-bar", role: "toolbar", "aria-label": this.texts.viewer },
      this.panelChoice,
      this.#button("\u2212", () => this.enlarge(1 / 1.4), { "aria-label": smaller, title: smaller }),
      this.#button("+", () => this.enlarge(1.4), { "aria-label": larger, title: larger }),
      this.#button(this.texts.fit, () => this.fit()), this.playButton,
      this.#button(this.texts.save, () => this.save()), this.#button(this.texts.copy, () => this.copy()),
      this.#button(this.texts.film, () => this.askForFilm()),
      this.#button(this.texts.help, () => this.keys.showModal()));
  }

  #keysDialog() {
    const list = make("dl", {});
    for (const [key, does] of KEYS) {
      const said = key.replace(/key_\w+/, (name) => this.texts[name]);
      list.append(make("dt", {}, said), make("dd", {}, this.texts[does]));
    }
    const dialog = make("dialog", { class: "iv-keys", "aria-label": this.texts.help });
    dialog.append(make("h2", {}, this.texts.help), list, this.#button(this.texts.close, () => dialog.close()));
    return dialog;
  }

  #filmDialog() {
    const choice = (change, options) => {
      const select = make("select", { onchange: change });
      select.append(...options.map(([value, text]) => make("option", { value, textContent: this.texts[text] })));
      return select;
    };
    const tell = () => this.#tellFilm();
    this.filmKind = choice(tell, [["slices", "filmSlices"], ["beside", "filmBeside"], ["border", "filmBorder"]]);
    this.filmAxis = choice(() => this.#fillFilm(), [["z", "xy"], ["y", "xz"], ["x", "yz"]]);
    const number = (value, min, max) => make("input", { type: "number", value, min, max, oninput: tell });
    this.filmNumbers = {
      first: number(1, 1, 1), last: number(1, 1, 1), step: number(1, 1, 1),
      edge: number(480, 64, 1080), rate: number(15, 1, 30),
    };
    const { first, last, step, edge, rate } = this.filmNumbers;
    this.filmRange = [this.#row(this.texts.filmFrom, first), this.#row(this.texts.filmTo, last), this.#row(this.texts.filmStep, step)];
    this.filmSaid = make("p", { role: "status", class: "iv-percent" });
    this.filmBar = make("progress", { max: 100, hidden: true, "aria-label": this.texts.film });
    this.filmButton = this.#button(this.texts.filmMake, () => this.film());
    const stop = this.#button(this.texts.close, () => dialog.close());
    const dialog = make("dialog", { class: "iv-keys iv-film", "aria-label": this.texts.film, onclose: () => this.filming?.abort() });
    dialog.append(make("h2", {}, this.texts.film), this.#row(this.texts.filmWhat, this.filmKind),
      this.#row(this.texts.filmAlong, this.filmAxis), ...this.filmRange,
      this.#row(this.texts.filmEdge, edge), this.#row(this.texts.filmRate, rate),
      this.filmSaid, this.filmBar, make("div", { class: "iv-buttons" }, this.filmButton, stop));
    return dialog;
  }

  #fillChoices() {
    const option = (path, name) => make("option", { value: path ?? "", textContent: name });
    const all = this.spec.volumes.map(({ path, name }) => option(path, name));
    this.firstChoice.replaceChildren(...all);
    this.firstChoice.value = this.spec.first ?? "";
    this.secondChoice.replaceChildren(option(null, this.texts.none), ...all.map((one) => one.cloneNode(true)));
    this.secondChoice.value = this.spec.second ?? "";
    this.afterRow.hidden = this.spec.volumes.length < 2;
  }

  /** What the file is: shown once it is open. */
  #refreshControls() {
    for (const axis of AXES) {
      const { range, number } = this.places[axis];
      range.max = this.size[axis];
      number.max = this.size[axis];
    }
    for (const row of [this.splitRow, this.besideRow]) row.style.display = this.other ? "" : "none";
    this.besideCheck.checked = this.beside;
    this.splitRange.style.visibility = this.apart ? "hidden" : "";
    this.afterRow.style.display = this.spec.volumes.length > 1 ? "" : "none";
    for (const row of this.maskRows) row.style.display = this.over ? "" : "none";
    this.checks.wedge.parentElement.style.display = this.spec.sectors.length ? "" : "none";
    this.#refreshContrast();
  }

  #refreshPosition() {
    for (const axis of AXES) {
      const { range, number } = this.places[axis];
      range.value = this.at[axis] + 1;
      if (document.activeElement !== number) number.value = this.at[axis] + 1;
      const panel = this.texts[{ z: "xy", y: "xz", x: "yz" }[axis]];
      const place = { panel, axis, index: this.at[axis] + 1, length: this.size[axis] };
      for (const panes of this.panes) {
        const pane = panes[axis];
        pane.setAttribute("aria-label", panel);
        pane.setAttribute("aria-valuemin", 1);
        pane.setAttribute("aria-valuemax", this.size[axis]);
        pane.setAttribute("aria-valuenow", this.at[axis] + 1);
        pane.setAttribute("aria-valuetext", fill(this.texts.slice, place));
      }
    }
    this.#refreshReadout();
  }

  #refreshReadout(axis = null, x = 0, y = 0, right = 0) {
    const about = right ? this.other : this.about;
    const [nz, ny, nx] = this.shape;
    const parts = [];
    const tell = (name, value) => parts.push(make("span", {}, `${name} `, make("b", {}, value)));
    const place = axis ? { ...this.at, ...this.#voxelAt(axis, x, y) } : this.at;
    for (const one of ["x", "y", "z"]) tell(one, String(Math.floor(place[one]) + 1));
    const value = this.#valueAt(place, axis ?? "z", about, right ? "'" : "");
    tell("\u2248", value === null ? "\u2013" : short(value));
    parts.push(make("span", {}, `${nx} \u00d7 ${ny} \u00d7 ${nz} ${this.texts.voxels}, ${about.dtype}`));
    parts.push(make("span", {}, this.pixel ? `${short(this.pixel)} \u00c5/${this.texts.voxel}` : this.texts.noSize));
    this.readout.replaceChildren(...parts);
  }

  /** The value at a place as the bytes of a slice tell it, or null outside. */
  #valueAt(place, axis, about, side) {
    if (AXES.some((one) => place[one] < 0 || place[one] >= this.size[one])) return null;
    const kept = this.bitmaps.get(`${axis}${side}`);
    const picture = kept && this.cache.get(kept.key.split("|").slice(0, 5).join("|"));
    if (!picture) return null;
    const [right, up] = DIRECTIONS[axis];
    const row = sameIndex(Math.floor(place[up]), this.size[up], picture.rows);
    const column = sameIndex(Math.floor(place[right]), this.size[right], picture.columns);
    const byte = picture.bytes[row * picture.columns + column];
    return about.low + (byte / 255) * (about.high - about.low);
  }

  #refreshContrast() {
    const [low, high] = this.windows.get(this.about.path);
    this.ends[0].value = low;
    this.ends[1].value = high;
    const { below } = this.about;
    const value = (level) => short(this.about.low + (level / 256) * (this.about.high - this.about.low));
    const percent = (level) => Number(percentAt(below, level).toFixed(2));
    this.percents.textContent =
      `${percent(low)} \u2013 ${percent(high)} %   (${value(low)} \u2026 ${value(high)})`;
    [low, high].forEach((level, i) => this.ends[i].setAttribute("aria-valuetext",
      `${value(level)}; ${fill(this.texts.below, { percent: percent(level) })}`));
    this.#drawHistogram();
  }

  #drawHistogram() {
    if (!this.about) return;
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [this.histogram.clientWidth || 226, 62];
    this.histogram.width = width * ratio;
    this.histogram.height = height * ratio;
    const context = this.histogram.getContext("2d");
    context.scale(ratio, ratio);
    const style = getComputedStyle(this.root);
    const most = Math.max(1, ...this.about.counts.slice(1, 255));
    const step = width / 256;
    context.fillStyle = style.getPropertyValue("--iv-soft");
    context.beginPath();
    context.moveTo(0, height);
    this.about.counts.forEach((count, byte) => {
      const tall = Math.min(1, Math.sqrt(count / most)) * (height - 6);
      context.lineTo((byte + 0.5) * step, height - tall);
    });
    context.lineTo(width, height);
    context.fill();
    const [low, high] = this.windows.get(this.about.path);
    context.fillStyle = style.getPropertyValue("--iv-accent");
    context.globalAlpha = 0.16;
    context.fillRect(low * step, 0, (high - low) * step, height);
    context.globalAlpha = 1;
    for (const level of [low, high]) context.fillRect(Math.min(width - 2, Math.max(0, level * step - 1)), 0, 2, height);
  }

  #pane(axis, side) {
    const pane = make("div", { class: "iv-pane", tabIndex: 0, role: "slider" });
    pane.dataset.axis = axis;
    pane.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (!this.about) return;
      const turn = Math.sign(event.deltaY || event.deltaX);
      if (event.ctrlKey || event.metaKey) this.enlarge(1.18 ** -turn, axis, event.offsetX, event.offsetY);
      else this.goto({ [axis]: this.at[axis] - turn * (event.shiftKey ? 10 : 1) });
    }, { passive: false });
    let before = null;
    this.#drags(pane, (event, first) => {
      const box = pane.getBoundingClientRect();
      const [x, y] = [event.clientX - box.left, event.clientY - box.top];
      const [right, up] = DIRECTIONS[axis];
      if (first) {
        pane.focus({ preventScroll: true });
        before = event.shiftKey || event.button === 1 ? [x, y] : null;
      }
      if (!before) {
        const here = this.#voxelAt(axis, x, y);
        this.goto({ [right]: Math.floor(here[right]), [up]: Math.floor(here[up]) });
        return;
      }
      this.centre[right] -= (x - before[0]) / this.scale;
      this.centre[up] += (y - before[1]) / this.scale;
      before = [x, y];
      this.redraw();
    });
    pane.addEventListener("pointermove", (event) => {
      if (this.about && event.buttons === 0) this.#refreshReadout(axis, event.offsetX, event.offsetY, side);
    });
    pane.addEventListener("pointerleave", () => this.about && this.#refreshReadout());
    return pane;
  }

  /** Call with each position of a pointer that was pressed on an element. */
  #drags(element, move) {
    element.addEventListener("pointerdown", (event) => {
      if (!this.about || event.button > 1) return;
      event.preventDefault();
      element.setPointerCapture(event.pointerId);
      move(event, true);
    });
    element.addEventListener("pointermove", (event) => {
      if (element.hasPointerCapture(event.pointerId)) move(event, false);
    });
  }

  #placePanes() {
    const places = new Map(this.#places().map(([name, box, side]) => [`${name}${side ?? 0}`, box]));
    this.panes.forEach((panes, side) => AXES.forEach((axis) => {
      const box = places.get(`${axis}${side}`);
      panes[axis].style.display = box ? "" : "none";
      if (box) {
        Object.assign(panes[axis].style, { left: `${box.x}px`, top: `${box.y}px`,
          width: `${box.width}px`, height: `${box.height}px` });
      }
    }));
    const boxes = Object.values(this.boxes).filter((box) => box.x === (this.boxes.z ?? Object.values(this.boxes)[0]).x);
    const top = Math.min(...boxes.map(({ y }) => y));
    const bottom = Math.max(...boxes.map(({ y, height }) => y + height));
    this.border.hidden = !this.other || this.apart;
    Object.assign(this.border.style, { left: `${boxes[0].x + this.split * boxes[0].width}px`,
      top: `${top}px`, height: `${bottom - top}px` });
  }

  #key(event) {
    const field = event.target.closest("input, select, textarea, dialog");
    if (!this.about || field || event.altKey || event.ctrlKey || event.metaKey) return;
    const axis = event.target.dataset?.axis ?? (AXES.includes(this.only) ? this.only : "z");
    const [right, up] = DIRECTIONS[axis];
    const by = event.shiftKey ? 10 : 1;
    const go = (one, way) => () => this.goto({ [one]: this.at[one] + way * by });
    const onButton = event.target.closest("button") !== null;
    const known = {
      PageUp: go(axis, 1), PageDown: go(axis, -1),
      ArrowRight: go(right, 1), ArrowLeft: go(right, -1), ArrowUp: go(up, 1), ArrowDown: go(up, -1),
      Home: () => this.goto({ [axis]: 0 }), End: () => this.goto({ [axis]: this.size[axis] - 1 }),
      "+": () => this.enlarge(1.4), "=": () => this.enlarge(1.4), "-": () => this.enlarge(1 / 1.4),
      0: () => this.fit(), 1: () => this.alone("z"), 2: () => this.alone("y"), 3: () => this.alone("x"),
      4: () => this.alone("power"), a: () => this.percentiles(...AUTO), i: () => this.toggle("invert"),
      b: () => this.swap(), "[": () => this.divide(this.split - 0.05), "]": () => this.divide(this.split + 0.05),
      m: () => this.toggle("mask"), c: () => this.toggle("cross"), s: () => this.save(),
      "?": () => this.keys.showModal(), " ": onButton ? undefined : () => this.play(),
    };
    const action = known[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }
}

/** The Vue component that NiceGUI mounts; `spec` is what `Viewer.open` takes. */
export default {
  template: "<div></div>",
  props: { spec: Object, texts: Object },
  emits: ["moved"],
  mounted() {
    const api = `${import.meta.url.split("/_nicegui/")[0]}/api/volumes`;
    let told = 0;
    const moved = (at) => {
      clearTimeout(told);
      told = setTimeout(() => this.$emit("moved", at), 150);
    };
    this.viewer = new Viewer(this.$el, { api, texts: this.texts, moved });
    this.viewer.open(this.spec);
  },
  unmounted() {
    this.viewer.close();
  },
  watch: {
    spec(value) {
      this.viewer.open(value);
    },
  },
  methods: {
    goto(place) {
      this.viewer.goto(place);
    },
    refresh() {
      this.viewer.refresh();
    },
  },
};
