// -- the timeline of a recording -----------------------------------------------------------------------------------

const GUTTER = 110, TRACK = 22, LANE = 17, AXIS = 18; // pixels: names at the left, windows, a lane of events, times
const bar = by("timeline"), brush = bar.getContext("2d"), scenery = document.createElement("canvas");
let timed = -1, lanes = [], view = [0, 1], barWide = 0, barHigh = 0; // the recording, its lanes, and the seconds shown

const pointsOf = data.sequences.map(() => []); // the windows of each recording, in order of time
if (windows) {
  for (let i = 0; i < count; i++) pointsOf[recordingOf(i)].push(i);
  for (const points of pointsOf) points.sort((a, b) => startOf(a) - startOf(b));
}
const middleOf = (i) => (startOf(i) + endOf(i)) / 2;
const eventsOf = data.sequences.map(() => []);
const EVENT_LABELS = data.events ? data.events.labels : [];
if (data.events) {
  for (const [recording, table, person, label, start, end, score] of data.events.rows) {
    eventsOf[recording].push({
      table, person, label, score, start: start === null ? 0 : start, end: end === null ? data.sequences[recording][2] : end,
    });
  }
  for (const events of eventsOf) events.sort((a, b) => a.start - b.start);
}

function eventColour(label) { // that of the class of the same name
  const code = classes.indexOf(EVENT_LABELS[label]);
  return code >= 0 ? colours[code] : coloursOf(EVENT_LABELS)[label];
}

function showRecording() { // the recording of the shown clip, where there is something to see on its timeline
  const recording = state.shown < 0 ? -1 : recordingOf(state.shown), was = by("times").hidden;
  if (recording === timed) { drawTimeline(); return; }
  timed = recording;
  by("times").hidden = recording < 0 || !windows && !eventsOf[recording].length;
  if (!by("times").hidden) {
    lanes = [];
    for (const event of eventsOf[recording]) {
      const key = [event.table, event.person, event.label].join();
      let lane = lanes.find((one) => one.key === key);
      if (!lane) lanes.push(lane = { key, table: event.table, person: event.person, label: event.label, events: [] });
      lane.events.push(event);
    }
    lanes.sort((a, b) => a.table - b.table || a.person - b.person || a.label - b.label);
    view = [0, data.sequences[recording][2]];
    by("recording").textContent = nameOf(recording);
    bar.setAttribute("aria-label", `Timeline of ${nameOf(recording)}: ${amount(pointsOf[recording].length)}, ${eventsOf[recording].length} events`);
  }
  fitTimeline();
  if (was !== by("times").hidden) fit(); // the map has another height
}

function fitTimeline() {
  if (by("times").hidden) return;
  const ratio = devicePixelRatio;
  barWide = by("lanes").clientWidth;
  barHigh = (windows ? TRACK : 0) + LANE * lanes.length + AXIS;
  bar.style.height = `${barHigh}px`;
  for (const canvas of [bar, scenery]) [canvas.width, canvas.height] = [Math.max(1, barWide * ratio), barHigh * ratio];
  drawScenery();
}

const timeX = (seconds) => GUTTER + (seconds - view[0]) / (view[1] - view[0]) * (barWide - GUTTER - 8);
const timeAt = (x) => view[0] + (x - GUTTER) / (barWide - GUTTER - 8) * (view[1] - view[0]);

function drawScenery() { // all but the playing time
  if (timed < 0 || by("times").hidden || !barWide) return;
  const pen = scenery.getContext("2d"), ratio = devicePixelRatio;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, barWide, barHigh);
  pen.font = "11px system-ui, sans-serif";
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  const name = (text, y) => {
    pen.fillStyle = shade("soft");
    let shown = text;
    while (shown.length > 1 && pen.measureText(shown + (shown === text ? "" : "…")).width > GUTTER - 8) shown = shown.slice(0, -1);
    pen.fillText(shown === text ? text : shown + "…", 0, y);
  };
  pen.save();
  pen.beginPath();
  pen.rect(GUTTER, 0, barWide - GUTTER, barHigh);
  pen.clip();
  if (windows) drawWindows(pen);
  lanes.forEach((lane, n) => {
    const top = (windows ? TRACK : 0) + n * LANE, tall = LANE - 4, colour = eventColour(lane.label);
    pen.fillStyle = shade("line");
    pen.fillRect(GUTTER, top + LANE / 2, barWide - GUTTER, 1);
    for (const { start, end, score } of lane.events) {
      const left = timeX(start), right = Math.max(timeX(end), left + 2), full = score === null ? 1 : Math.min(1, Math.max(0, score));
      pen.fillStyle = `color-mix(in srgb, ${colour} 30%, ${shade("back")})`;
      pen.fillRect(left, top + 2, right - left, tall);
      pen.fillStyle = colour;
      pen.fillRect(left, top + 2 + tall * (1 - full), right - left, tall * full);
    }
  });
  pen.restore();
  if (windows) name("windows", TRACK / 2);
  lanes.forEach((lane, n) => {
    const parts = [EVENT_LABELS[lane.label]];
    if (data.events.persons[lane.person]) parts.unshift(data.events.persons[lane.person]);
    if (data.events.tables.length > 1) parts.unshift(data.events.tables[lane.table]);
    name(parts.join(" · "), (windows ? TRACK : 0) + (n + 0.5) * LANE);
  });
  drawTimes(pen);
  drawTimeline();
}

function drawWindows(pen) { // each stands for the time up to half way to its neighbours
  const points = pointsOf[timed];
  points.forEach((i, n) => {
    const left = n ? (middleOf(points[n - 1]) + middleOf(i)) / 2 : startOf(i);
    const right = n + 1 < points.length ? (middleOf(points[n + 1]) + middleOf(i)) / 2 : endOf(i);
    const from = timeX(Math.max(left, startOf(i))), to = timeX(Math.min(right, endOf(i)));
    if (to < GUTTER || from > barWide) return;
    pen.globalAlpha = visible(i) ? 1 : 0.2;
    pen.fillStyle = colours[codes[i]];
    pen.fillRect(from, 3, Math.max(1, to - from - (to - from > 4 ? 1 : 0)), TRACK - 10);
    pen.globalAlpha = 1;
    if (typed.codes[i] !== NO_LABEL) { pen.fillStyle = shade("back"); pen.fillRect(from, 7, Math.max(1, to - from - 1), 3); }
    if (selected[i]) { pen.fillStyle = shade("text"); pen.fillRect(from, TRACK - 6, Math.max(1, to - from), 3); }
  });
}

function drawTimes(pen) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600], span = view[1] - view[0];
  const step = steps.find((one) => span / one * 52 < barWide - GUTTER) || 7200;
  pen.textAlign = "center";
  pen.fillStyle = shade("soft");
  for (let n = Math.ceil(view[0] / step); n * step <= view[1] + 1e-9; n++) {
    const at = n * step, x = timeX(at);
    pen.fillRect(x, barHigh - AXIS, 1, 4);
    const text = at < 60 ? `${+at.toFixed(1)} s` : `${Math.floor(at / 60)}:${String(Math.round(at % 60)).padStart(2, "0")}`;
    const half = pen.measureText(text).width / 2; // the first and the last one stay inside
    pen.fillText(text, Math.min(barWide - half, Math.max(GUTTER + half, x)), barHigh - AXIS / 2 + 1);
  }
}

let rangeFrom = null, rangeTo = null; // pixels, while a range is dragged
function drawTimeline() {
  if (timed < 0 || by("times").hidden || !barWide || state.shown < 0) return;
  brush.setTransform(1, 0, 0, 1, 0, 0);
  brush.clearRect(0, 0, bar.width, bar.height);
  brush.drawImage(scenery, 0, 0);
  brush.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  const now = startOf(state.shown) + Math.min(state.time, secondsOf(state.shown));
  brush.save();
  brush.beginPath();
  brush.rect(GUTTER - 2, 0, barWide, barHigh);
  brush.clip();
  brush.strokeStyle = shade("text");
  if (windows) { // the window that is shown
    brush.lineWidth = 1.5;
    brush.strokeRect(timeX(startOf(state.shown)), 1, timeX(endOf(state.shown)) - timeX(startOf(state.shown)), TRACK - 6);
  }
  brush.fillStyle = shade("text");
  brush.fillRect(timeX(now) - 0.75, 0, 1.5, barHigh - AXIS + 4);
  if (rangeFrom !== null && rangeTo !== null) {
    brush.globalAlpha = 0.15;
    brush.fillStyle = shade("accent");
    brush.fillRect(Math.min(rangeFrom, rangeTo), 0, Math.abs(rangeTo - rangeFrom), barHigh);
    brush.globalAlpha = 1;
  }
  brush.restore();
  by("instant").textContent = clock(now);
}

function go(seconds) { // to a time in the recording: the window whose middle is nearest
  if (!windows) { seek(seconds); return; }
  let best = -1, least = Infinity;
  for (const i of pointsOf[timed]) {
    const distance = Math.abs(middleOf(i) - seconds);
    if (distance < least) { best = i; least = distance; }
  }
  keep(best);
  seek(Math.max(0, seconds - startOf(best) - 0.5)); // begins a little earlier, so that the moment is seen
}

function stepWindow(way) {
  const points = pointsOf[timed], next = points[points.indexOf(state.shown) + way];
  if (next !== undefined) keep(next);
}

function stepEvent(way) { // to the event that begins before or after the one at the present time
  if (timed < 0 || !eventsOf[timed].length) return;
  const middles = eventsOf[timed].map(({ start, end }) => (start + end) / 2).sort((a, b) => a - b);
  const now = windows ? middleOf(state.shown) : state.time, near = windows ? secondsOf(state.shown) / 8 : 0.05;
  const next = way > 0 ? middles.find((at) => at > now + near) : middles.findLast((at) => at < now - near);
  if (next === undefined) return;
  go(next);
  const at = eventsOf[timed].find(({ start, end }) => (start + end) / 2 === next);
  say(`${EVENT_LABELS[at.label]}, ${clock(at.start)} to ${clock(at.end)}`);
}

const barX = (event) => event.clientX - bar.getBoundingClientRect().left;
bar.addEventListener("pointerdown", (event) => { bar.setPointerCapture(event.pointerId); rangeFrom = barX(event); rangeTo = null; });
bar.addEventListener("pointermove", (event) => {
  const x = barX(event), at = timeAt(x);
  if (rangeFrom !== null && windows && (rangeTo !== null || Math.abs(x - rangeFrom) > 4)) { rangeTo = x; drawTimeline(); return; }
  const lane = lanes[Math.floor((event.offsetY - (windows ? TRACK : 0)) / LANE)];
  const over = lane && lane.events.find(({ start, end }) => start <= at && at < end);
  bar.title = over ? [EVENT_LABELS[over.label], `${clock(over.start)} to ${clock(over.end)}`, over.score === null ? "" : over.score.toFixed(3)].filter(Boolean).join(" · ") : "";
});
bar.addEventListener("pointerup", (event) => {
  const from = rangeFrom, to = rangeTo, x = barX(event);
  rangeFrom = rangeTo = null;
  if (from === null) return;
  if (to !== null) {
    const [first, last] = [timeAt(Math.min(from, to)), timeAt(Math.max(from, to))];
    const inside = pointsOf[timed].filter((i) => middleOf(i) >= first && middleOf(i) <= last);
    select(inside, event.altKey ? "remove" : event.shiftKey ? "add" : "replace");
    return;
  }
  const lane = lanes[Math.floor((event.offsetY - (windows ? TRACK : 0)) / LANE)], at = timeAt(x);
  const over = event.offsetY >= (windows ? TRACK : 0) && lane && lane.events.find(({ start, end }) => start <= at && at < end);
  if (x >= GUTTER) go(over ? (over.start + over.end) / 2 : at);
});
bar.addEventListener("pointercancel", () => { rangeFrom = rangeTo = null; drawTimeline(); });
bar.addEventListener("wheel", (event) => {
  const box = by("lanes");
  if (box.scrollHeight > box.clientHeight + 1 && !event.ctrlKey) return; // scrolls the lanes
  event.preventDefault();
  const whole = data.sequences[timed][2], at = Math.min(view[1], Math.max(view[0], timeAt(barX(event))));
  const factor = Math.exp(event.deltaY * (event.deltaMode ? 0.03 : 0.0015)), span = Math.min(whole, Math.max(1, (view[1] - view[0]) * factor));
  const start = Math.min(whole - span, Math.max(0, at - (at - view[0]) / (view[1] - view[0]) * span));
  view = [start, start + span];
  drawScenery();
}, { passive: false });
