"use strict";
// Ids and labels come from files, so they are only written with textContent, value, or fillText on a canvas.
const by = (id) => document.getElementById(id);
const data = JSON.parse(by("document").textContent);
const poses = by("poses").textContent;
by("poses").remove(); // the string is kept, so free the copy in the document

const count = data.ids.length;
const xs = new Float32Array(count), ys = new Float32Array(count);
for (let i = 0; i < count; i++) {
  xs[i] = data.points[2 * i];
  ys[i] = -data.points[2 * i + 1];
}

// A point of the map is a whole recording (a clip), or a window of one.
const windows = data.times !== null;
const recordingOf = (i) => data.clips[i][0];
const nameOf = (recording) => [data.names[recording], data.people[recording]].filter(Boolean).join(" · ");
const startOf = (i) => windows ? data.times[2 * i] : 0;
const endOf = (i) => windows ? data.times[2 * i + 1] : data.sequences[recordingOf(i)][2];
const secondsOf = (i) => endOf(i) - startOf(i);
const amount = (number) => `${number} ${windows ? "window" : "clip"}${number === 1 ? "" : "s"}`;
const clock = (seconds) => seconds < 60 ? `${seconds.toFixed(1)} s`
  : `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;

// What points can be coloured by. The last one are the labels typed in.
const NO_LABEL = 0;
const colourings = data.colourings.map(({ name, classes, codes }) => ({ name, classes, codes: Uint16Array.from(codes) }));
const typed = { name: "labels typed in", classes: [data.none], codes: new Uint16Array(count) };
colourings.push(typed);
let { classes, codes } = colourings[0];
const lowered = data.ids.map((id, i) => (id + "\n" + classes[codes[i]]).toLowerCase());

const state = {
  kept: -1, // the clip that was clicked
  hovered: -1,
  shown: -1, // the clip in the panel
  hidden: new Set(), // classes
  strong: -1, // the class under the pointer in the legend, which is highlighted
  found: null, // (count,) 1 for the clips that the search found
  lasso: false, // whether dragging selects
  zoom: 1, x: 0, y: 0, // of the map
  turn: 30, // degrees around the skeleton
  playing: !matchMedia("(prefers-reduced-motion: reduce)").matches,
  time: 0, // seconds into the clip
};
const visible = (i) => !state.hidden.has(codes[i]);
const say = (text) => { by("said").textContent = text; };

function button(text, kind, title) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = kind;
  made.title = title;
  made.setAttribute("aria-label", title);
  made.textContent = text;
  return made;
}

function spans(parent, texts) { // [class, text] of each
  for (const [kind, text] of texts) {
    const span = document.createElement("span");
    span.className = kind;
    span.textContent = text;
    parent.append(span);
  }
}
