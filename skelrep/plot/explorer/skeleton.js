// -- the skeleton --------------------------------------------------------------------------------------------------

const player = by("player"), pen = player.getContext("2d");
const MISSING = -32768, LARGEST = 32767;
const TILT = [Math.cos(0.14), Math.sin(0.14)]; // seen from a little above, 8 degrees
const HEAD = 0.24; // radius in trunks: 0.12 m for a trunk of 0.5 m
const KEPT = 200; // clips whose poses stay decoded

const frameBytes = (recording) => data.sequences[recording][0] * data.joints * data.channels * 2;
const textStarts = [0]; // of the recordings, in characters
data.sequences.forEach(([, frames], n) => textStarts.push(textStarts[n] + 4 * Math.ceil(frames * frameBytes(n) / 3)));

const decoded = new Map();
function decode(i) { // the frames of a clip, and what centres and scales them
  if (decoded.has(i)) return decoded.get(i);
  const [recording, from, more, degrees] = data.clips[i], [persons, frames, , , trunk, floor] = data.sequences[recording];
  const first = Math.floor(from), last = Math.min(frames - 1, Math.ceil(from + more));
  const begin = first * frameBytes(recording), end = (last + 1) * frameBytes(recording), start = textStarts[recording];
  const letters = atob(poses.slice(start + 4 * Math.floor(begin / 3), start + 4 * Math.ceil(end / 3))), skip = begin % 3;
  const bytes = new Uint8Array(end - begin);
  for (let n = 0; n < bytes.length; n++) bytes[n] = letters.charCodeAt(skip + n);
  const values = new Int16Array(bytes.buffer); // (frames, persons, joints, channels); -32768 for missing joints
  const low = [0, 0, 0], high = [0, 0, 0], channels = data.channels;
  for (let c = 0; c < channels; c++) {
    low[c] = Infinity; high[c] = -Infinity;
    for (let n = c; n < values.length; n += channels) {
      if (values[n] === MISSING) continue;
      low[c] = Math.min(low[c], values[n]); high[c] = Math.max(high[c], values[n]);
    }
    if (low[c] > high[c]) low[c] = high[c] = 0;
  }
  if (floor !== null) low[1] = Math.min(low[1], floor * LARGEST); // of the recording: in a jump it is far below
  const centre = low.map((value, c) => (value + high[c]) / 2);
  let reach = Math.max(1, centre[1] - low[1]);
  for (let n = 0; n < values.length; n += channels) {
    if (values[n] === MISSING) continue;
    const z = channels === 3 ? values[n + 2] - centre[2] : 0;
    reach = Math.max(reach, Math.hypot(values[n] - centre[0], z), Math.abs(values[n + 1] - centre[1]));
  }
  const clip = {
    values, persons, centre, reach, from: from - first, more, count: last - first + 1, degrees, seconds: secondsOf(i),
    trunk: trunk * LARGEST / reach, floor: floor === null ? null : (floor * LARGEST - centre[1]) / reach,
  };
  decoded.set(i, clip);
  if (decoded.size > KEPT) decoded.delete(decoded.keys().next().value);
  return clip;
}

function joint(clip, person, number, frame) { // [right, up, near] on the screen, within -1..1; null if missing
  const { values, persons, count, centre, reach } = clip, channels = data.channels;
  const first = Math.floor(frame), rest = frame - first, at = [];
  for (let c = 0; c < channels; c++) {
    const one = values[((first * persons + person) * data.joints + number) * channels + c];
    const next = rest ? values[((Math.min(first + 1, count - 1) * persons + person) * data.joints + number) * channels + c] : one;
    if (one === MISSING) return null;
    at.push(((next === MISSING ? one : one + rest * (next - one)) - centre[c]) / reach);
  }
  if (channels === 2) return [at[0], at[1], 0];
  const angle = (state.turn + clip.degrees) * Math.PI / 180, cos = Math.cos(angle), sin = Math.sin(angle);
  const near = at[0] * sin + at[2] * cos;
  return [at[0] * cos - at[2] * sin, at[1] * TILT[0] - near * TILT[1], near];
}

// 0: one trunk length behind the centre; 1: one trunk length in front of it.
const nearness = (depth, trunk) => Math.min(1, Math.max(0, depth / 2 / Math.max(trunk, 0.2) + 0.5));

function mix(colour, near) { // distant parts are paler
  return `color-mix(in srgb, ${colour} ${Math.round(60 + 40 * near)}%, ${shade("back")})`;
}

function drawPlayer() {
  const ratio = devicePixelRatio, width = player.width / ratio, height = player.height / ratio, i = state.shown;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  if (i < 0) return;
  const clip = decode(i), { persons, trunk, floor } = clip;
  // Joints are within -1..1; the head and the view from above need more space.
  const reach = 1 + HEAD * trunk + (data.channels === 3 ? TILT[1] : 0);
  const size = 0.49 * Math.min(width, height) / reach;
  const frame = clip.from + Math.min(1, state.time / clip.seconds) * clip.more;
  by("time").value = state.time / clip.seconds;
  pen.setTransform(ratio, 0, 0, -ratio, ratio * width / 2, ratio * height / 2);
  pen.lineCap = "round";
  if (floor !== null) {
    pen.fillStyle = pen.strokeStyle = shade("floor");
    pen.beginPath();
    if (data.channels === 3) pen.ellipse(0, floor * TILT[0] * size, size, size * TILT[1] * 1.3, 0, 0, 7);
    else pen.rect(-size, floor * size - 5, 2 * size, 3);
    pen.fill();
  }
  const thickness = Math.max(2, 0.11 * trunk * size);
  const bodies = Array.from({ length: persons }, (_, person) => {
    const at = Array.from({ length: data.joints }, (_, number) => joint(clip, person, number, frame));
    const seen = at.filter(Boolean);
    return { person, at, near: seen.reduce((sum, point) => sum + point[2], 0) / seen.length };
  }).sort((a, b) => a.near - b.near);
  for (const { person, at } of bodies) drawBody(clip, person, at, frame, size, thickness);
}

function drawBody(clip, person, at, frame, size, thickness) {
  const tones = [shade("trunk-" + person % 4), shade("left"), shade("right")], { trunk } = clip;
  trails(clip, person, frame, size, thickness, tones);
  const lines = data.bones.filter(([a, b]) => at[a] && at[b]).sort(([a, b], [c, d]) => at[a][2] + at[b][2] - at[c][2] - at[d][2]);
  for (const [a, b] of lines) {
    const near = nearness((at[a][2] + at[b][2]) / 2, trunk);
    const side = data.sides[b] === 0 || data.sides[a] === data.sides[b] ? data.sides[a] : 0;
    const thick = thickness * (0.8 + 0.4 * near), [ax, ay] = at[a], [bx, by] = at[b];
    for (const [inset, colour, wide] of [[0.2, shade("back"), thick + 3], [0, mix(tones[side], near), thick]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = wide;
      pen.beginPath();
      pen.moveTo((ax + inset * (bx - ax)) * size, (ay + inset * (by - ay)) * size);
      pen.lineTo((bx + inset * (ax - bx)) * size, (by + inset * (ay - by)) * size);
      pen.stroke();
    }
  }
  const joined = new Set([...lines.flat(), ...data.faces]);
  at.forEach((point, number) => { // joints without visible neighbours
    if (point && !joined.has(number)) disc(point, size, 0.5 * thickness, mix(tones[data.sides[number]], nearness(point[2], trunk)));
  });
  const face = data.head.map((number) => at[number]).filter(Boolean);
  if (face.length) {
    const middle = [0, 1].map((axis) => face.reduce((sum, point) => sum + point[axis], 0) / face.length);
    disc(middle, size, HEAD * trunk * size + 1.5, shade("back"));
    disc(middle, size, HEAD * trunk * size, tones[0]);
  }
}

function disc(point, size, radius, colour) {
  pen.fillStyle = colour;
  pen.beginPath();
  pen.arc(point[0] * size, point[1] * size, radius, 0, 7);
  pen.fill();
}

function trails(clip, person, frame, size, thickness, tones) {
  const steps = 8, back = 0.4 * clip.more / clip.seconds / steps;
  for (const number of data.tips) {
    let last = null;
    for (let step = steps; step >= 0; step--) {
      const moment = frame - step * back, point = moment < 0 ? null : joint(clip, person, number, moment);
      if (point && last) {
        pen.globalAlpha = 0.4 * (1 - step / steps);
        pen.strokeStyle = tones[data.sides[number]];
        pen.lineWidth = thickness * (0.7 - 0.5 * step / steps);
        pen.beginPath();
        pen.moveTo(last[0] * size, last[1] * size);
        pen.lineTo(point[0] * size, point[1] * size);
        pen.stroke();
      }
      last = point;
    }
  }
  pen.globalAlpha = 1;
}

let before = 0;
function tick(now) {
  const passed = Math.min(0.1, (now - before) / 1000);
  before = now;
  if (state.playing && state.shown >= 0) {
    state.time += passed;
    if (state.time > secondsOf(state.shown) + 0.4) state.time = 0; // pauses at the end before it repeats
    drawPlayer();
    drawTimeline();
  }
  requestAnimationFrame(tick);
}

function play(playing) {
  state.playing = playing;
  by("play").textContent = playing ? "Pause" : "Play";
}

function seek(seconds) {
  state.time = Math.min(secondsOf(state.shown), Math.max(0, seconds));
  drawPlayer();
  drawTimeline();
}
by("play").addEventListener("click", () => play(!state.playing));
by("time").addEventListener("input", () => {
  if (state.shown < 0) return;
  play(false);
  seek(by("time").value * secondsOf(state.shown));
});
player.addEventListener("pointerdown", (event) => player.setPointerCapture(event.pointerId));
player.addEventListener("pointermove", (event) => {
  if (event.buttons) { state.turn -= event.movementX * 0.7; drawPlayer(); }
});
