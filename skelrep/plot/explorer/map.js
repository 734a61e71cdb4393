// -- the map -------------------------------------------------------------------------------------------------------

// Two layers: points and names, which are drawn when the map moves or a class is hidden; and marks on top of them.
const map = by("map"), marks = by("marks");
const ink = map.getContext("2d", { alpha: false, willReadFrequently: true }), chalk = marks.getContext("2d");
let wide = 0, high = 0, picture = ink.createImageData(1, 1), pixels = new Uint32Array(picture.data.buffer);
let backdrop = 0, radius = 4, sprites = []; // by class and look

const extent = [xs, ys].map((values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0.01));
const scale = () => 0.46 * Math.min(wide / extent[0], high / extent[1]) * state.zoom;
const screenX = (i) => wide / 2 + (xs[i] - state.x) * scale();
const screenY = (i) => high / 2 + (ys[i] - state.y) * scale();

// A point is a list of pixels that are overwritten, without blending: several times faster than circles on the canvas.
const NAMED = 1, SELECTED = 2, PALE = 4;
function makeSprites() {
  sprites = [];
  radius = count > 8000 ? 2.5 : count > 2000 ? 3 : count > 400 ? 4 : 5.5;
  ink.setTransform(1, 0, 0, 1, 0, 0);
  ink.globalAlpha = 1;
  ink.fillStyle = shade("back");
  ink.fillRect(0, 0, 1, 1);
  backdrop = new Uint32Array(ink.getImageData(0, 0, 1, 1).data.buffer)[0];
}

function sprite(code, look) {
  const key = code * 8 + look;
  if (sprites[key]) return sprites[key];
  const ratio = devicePixelRatio, size = radius + (look & SELECTED ? 1.5 : 0);
  const side = Math.ceil((2 * size + 2) * ratio), brush = new OffscreenCanvas(side, side).getContext("2d");
  const disc = (size, colour) => {
    brush.fillStyle = colour;
    brush.beginPath();
    brush.arc(side / 2, side / 2, size * ratio, 0, 7);
    brush.fill();
  };
  const pale = look & PALE ? `color-mix(in srgb, ${colours[code]} 14%, ${shade("back")})` : colours[code];
  disc(size + 0.7, shade("back"));
  if (look & SELECTED) disc(size, shade("text"));
  disc(radius - (look & SELECTED ? 0 : 0.3), pale);
  if (look & NAMED) disc(radius * 0.5, shade("back"));
  const image = brush.getImageData(0, 0, side, side).data, dx = [], dy = [], colour = [];
  const words = new Uint32Array(image.buffer);
  for (let at = 0; at < words.length; at++) {
    if (image[4 * at + 3] < 128) continue; // the rim has the colour of the background, so its edge needs no blending
    dx.push(at % side);
    dy.push(Math.floor(at / side));
    colour.push((words[at] | 0xff000000) >>> 0);
  }
  const offset = Int32Array.from(dy, (y, n) => y * picture.width + dx[n]);
  return sprites[key] = { half: side / 2, side, offset, colour: Uint32Array.from(colour) };
}

function stamp({ half, side, offset, colour }, x, y) { // device pixels
  const left = Math.round(x - half), top = Math.round(y - half);
  if (left < 0 || top < 0 || left + side > picture.width || top + side > picture.height) return;
  const first = top * picture.width + left;
  for (let n = 0; n < offset.length; n++) pixels[first + offset[n]] = colour[n];
}

// A grid over -1..1 with the clips in each cell, to find the nearest clip, and clips in a lasso, quickly.
const cells = Math.max(1, Math.ceil(Math.sqrt(count / 2)));
const cell = (value) => Math.min(cells - 1, Math.max(0, Math.floor((value + 1) / 2 * cells)));
const cellStarts = new Uint32Array(cells * cells + 1), inCells = new Uint32Array(count);
for (let i = 0; i < count; i++) cellStarts[cell(ys[i]) * cells + cell(xs[i]) + 1]++;
for (let n = 0; n < cells * cells; n++) cellStarts[n + 1] += cellStarts[n];
const filled = cellStarts.slice();
for (let i = 0; i < count; i++) inCells[filled[cell(ys[i]) * cells + cell(xs[i])]++] = i;

function within(left, top, right, bottom, visit) { // calls `visit` with each clip in the cells of a range of the map
  for (let row = cell(top); row <= cell(bottom); row++) {
    const last = cellStarts[row * cells + cell(right) + 1];
    for (let n = cellStarts[row * cells + cell(left)]; n < last; n++) visit(inCells[n]);
  }
}

function nearest(x, y, reach) { // the clip nearest to a place on the screen
  const size = scale(), px = (x - wide / 2) / size + state.x, py = (y - high / 2) / size + state.y, far = reach / size;
  let best = -1, least = far ** 2;
  within(px - far, py - far, px + far, py + far, (i) => {
    const distance = (xs[i] - px) ** 2 + (ys[i] - py) ** 2;
    if (distance <= least && visible(i)) { best = i; least = distance; }
  });
  return best;
}

let planned = "";
function redraw() { plan("map"); }
function remark() { plan("marks"); }
function plan(what) {
  if (!planned) requestAnimationFrame(() => (planned === "map" ? drawMap : drawMarks)());
  if (planned !== "map") planned = what;
}

const isBright = (i) => (!state.found || state.found[i] === 1) && (state.strong < 0 || codes[i] === state.strong);

function drawMap() {
  planned = "";
  pixels.fill(backdrop);
  const narrowed = state.found !== null || state.strong >= 0;
  const size = scale() * devicePixelRatio, left = wide / 2 * devicePixelRatio - state.x * size, top = high / 2 * devicePixelRatio - state.y * size;
  for (const layer of [PALE, 0, SELECTED]) { // selected points last, on top
    if (layer === PALE && !narrowed || layer === SELECTED && !selectedCount) continue;
    for (let i = 0; i < count; i++) {
      const look = (selected[i] ? SELECTED : 0) | (narrowed && !isBright(i) ? PALE : 0);
      if ((look & SELECTED || look) !== layer || !visible(i)) continue;
      stamp(sprite(codes[i], look | (typed.codes[i] !== NO_LABEL ? NAMED : 0)), xs[i] * size + left, ys[i] * size + top);
    }
  }
  ink.putImageData(picture, 0, 0);
  ink.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  drawNames();
  drawMarks();
}

function drawMarks() {
  planned = "";
  chalk.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  chalk.clearRect(0, 0, wide, high);
  chalk.strokeStyle = shade("text");
  if (state.shown >= 0) {
    const x = screenX(state.shown), y = screenY(state.shown);
    for (const other of data.neighbours[state.shown]) {
      if (!visible(other)) continue;
      chalk.globalAlpha = 0.35;
      chalk.lineWidth = 1;
      chalk.beginPath();
      chalk.moveTo(x, y);
      chalk.lineTo(screenX(other), screenY(other));
      chalk.stroke();
      ring(other, radius + 2, 1);
    }
    ring(state.shown, radius + 4, 2.5);
  }
  if (lassoPath) {
    chalk.globalAlpha = 1;
    chalk.lineWidth = 1.5;
    chalk.setLineDash([5, 4]);
    chalk.beginPath();
    for (const [x, y] of lassoPath) chalk.lineTo(x, y);
    chalk.closePath();
    chalk.stroke();
    chalk.setLineDash([]);
    chalk.globalAlpha = 0.08;
    chalk.fillStyle = shade("accent");
    chalk.fill();
  }
}

function ring(i, size, width) {
  chalk.globalAlpha = 1;
  chalk.lineWidth = width;
  chalk.beginPath();
  chalk.arc(screenX(i), screenY(i), size, 0, 7);
  chalk.stroke();
}

let sizes, middles, largestFirst;
function measureClasses() { // the number of clips in each class, and the medians of their positions, for the names
  const members = classes.map(() => []);
  for (let i = 0; i < count; i++) members[codes[i]].push(i);
  sizes = members.map((some) => some.length);
  const median = (values, some) => Float32Array.from(some, (i) => values[i]).sort()[some.length >> 1];
  middles = members.map((some) => [median(xs, some), median(ys, some)]);
  largestFirst = classes.map((_, code) => code).sort((a, b) => sizes[b] - sizes[a]);
}

function drawNames() {
  const taken = [];
  ink.font = "600 12px system-ui, sans-serif";
  ink.textAlign = "center";
  ink.textBaseline = "middle";
  ink.lineJoin = "round";
  for (const code of largestFirst) {
    if (state.hidden.has(code) || !sizes[code] || state.strong >= 0 && state.strong !== code) continue;
    const name = classes[code].length > 28 ? classes[code].slice(0, 27) + "…" : classes[code];
    const x = wide / 2 + (middles[code][0] - state.x) * scale(), y = high / 2 + (middles[code][1] - state.y) * scale();
    const half = ink.measureText(name).width / 2 + 4;
    if (taken.some((box) => Math.abs(box[0] - x) < box[2] + half && Math.abs(box[1] - y) < 17)) continue;
    taken.push([x, y, half]);
    ink.strokeStyle = shade("back");
    ink.lineWidth = 4;
    ink.strokeText(name, x, y);
    ink.fillStyle = shade("text");
    ink.fillText(name, x, y);
  }
}

function zoom(factor, x = wide / 2, y = high / 2) {
  const before = scale();
  state.zoom = Math.min(200, Math.max(0.5, state.zoom * factor));
  const gained = 1 / before - 1 / scale(); // keeps the point under the pointer in place
  state.x += (x - wide / 2) * gained;
  state.y += (y - high / 2) * gained;
  redraw();
}

function see(i) { // centres the map on the clip if it is outside the visible part
  const x = screenX(i), y = screenY(i);
  if (x < 20 || y < 20 || x > wide - 20 || y > high - 20) { state.x = xs[i]; state.y = ys[i]; redraw(); }
}

// -- the pointer on the map ----------------------------------------------------------------------------------------

const pointers = new Map();
let moved = 0, gap = 0, lassoPath = null;
const place = (event) => { const box = map.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
map.addEventListener("pointerdown", (event) => {
  map.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, place(event));
  moved = pointers.size > 1 ? 99 : 0;
  gap = 0;
  lassoPath = pointers.size === 1 && (state.lasso || event.shiftKey) ? [place(event)] : null;
});
map.addEventListener("pointermove", (event) => {
  const [x, y] = place(event), before = pointers.get(event.pointerId);
  if (!before) { hover(nearest(x, y, 12)); return; }
  if (lassoPath) {
    const [lastX, lastY] = lassoPath.at(-1), step = Math.hypot(x - lastX, y - lastY);
    if (step < 3) return; // fewer corners, the same shape
    moved += step;
    lassoPath.push([x, y]);
    remark();
    return;
  }
  pointers.set(event.pointerId, [x, y]);
  moved += Math.abs(x - before[0]) + Math.abs(y - before[1]);
  if (moved < 4) return;
  state.x -= (x - before[0]) / scale() / pointers.size;
  state.y -= (y - before[1]) / scale() / pointers.size;
  if (pointers.size === 2) {
    const [a, b] = [...pointers.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]);
    if (gap) zoom(now / gap, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
    gap = now;
  }
  redraw();
});
map.addEventListener("pointerup", (event) => {
  const path = lassoPath;
  lassoPath = null;
  if (path && moved >= 4) {
    select(enclosed(path), event.altKey ? "remove" : event.shiftKey || !state.lasso ? "add" : "replace");
  } else if (moved < 4 && pointers.has(event.pointerId)) {
    const i = nearest(...place(event), 14);
    if (event.shiftKey && i >= 0) toggle(i); else keep(i);
  }
  pointers.delete(event.pointerId);
  remark();
});
map.addEventListener("pointercancel", (event) => { pointers.delete(event.pointerId); lassoPath = null; remark(); });
map.addEventListener("pointerleave", () => hover(-1));
map.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.03 : 0.0015)), ...place(event));
}, { passive: false });

function enclosed(path) { // the clips in a polygon on the screen, by the even-odd rule
  const size = scale(), found = [];
  const px = Float64Array.from(path, ([x]) => (x - wide / 2) / size + state.x), py = Float64Array.from(path, ([, y]) => (y - high / 2) / size + state.y);
  const [left, right, top, bottom] = [px, py].flatMap((values) => [Math.min(...values), Math.max(...values)]);
  within(left, top, right, bottom, (i) => {
    const x = xs[i], y = ys[i];
    let inside = false;
    for (let n = 0, m = px.length - 1; n < px.length; m = n++) {
      if (py[n] > y !== py[m] > y && x < (px[m] - px[n]) * (y - py[n]) / (py[m] - py[n]) + px[n]) inside = !inside;
    }
    if (inside) found.push(i);
  });
  return found;
}
