// -- keys ----------------------------------------------------------------------------------------------------------

const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function step([dx, dy]) { // goes to the next clip in a direction; the distance across it counts twice
  if (state.shown < 0) { keep(nearest(wide / 2, high / 2, 2 * (wide + high))); return; }
  let best = -1, least = Infinity;
  for (let i = 0; i < count; i++) {
    const x = xs[i] - xs[state.shown], y = ys[i] - ys[state.shown], along = x * dx + y * dy, off = Math.abs(x * dy) + Math.abs(y * dx);
    if (along > 0 && off <= along && along + 2 * off < least && visible(i)) { best = i; least = along + 2 * off; }
  }
  if (best >= 0) keep(best);
}

function lassoMode(on) {
  state.lasso = on;
  map.classList.toggle("lasso", on);
  by("lasso").setAttribute("aria-pressed", on);
  by("move").setAttribute("aria-pressed", !on);
}
by("lasso").addEventListener("click", () => lassoMode(true));
by("move").addEventListener("click", () => lassoMode(false));

const ACTIONS = {
  " ": () => play(!state.playing),
  n: () => by("neighbours").querySelector("button")?.focus(),
  l: () => { lassoMode(!state.lasso); say(state.lasso ? "dragging selects" : "dragging moves the map"); },
  s: () => { if (state.shown >= 0) toggle(state.shown); },
  a: () => select(numbers(selectable)),
  t: () => by("typed").focus(),
  "[": () => stepEvent(-1),
  "]": () => stepEvent(1),
  "+": () => zoom(1.4),
  "=": () => zoom(1.4),
  "-": () => zoom(1 / 1.4),
  0: () => { Object.assign(state, { zoom: 1, x: 0, y: 0 }); if (timed >= 0) view = [0, data.sequences[timed][2]]; redraw(); drawScenery(); },
};

document.addEventListener("keydown", (event) => {
  const { key, target } = event, list = target.closest("#results, #neighbours, #classes, #labels");
  const searching = target === by("query"), typing = searching || target === by("typed");
  if (event.ctrlKey || event.metaKey || event.altKey || by("keys").open) return;
  const action = ACTIONS[key.length === 1 ? key.toLowerCase() : key];
  if (key === "Escape") {
    if (target === by("typed")) by("typed").value = "";
    else if (by("query").value) clear();
    else if (selectedCount) select([]);
    else keep(-1);
    if (typing || target.closest("#results")) map.focus();
  } else if (key === "/" && !typing) {
    by("query").focus();
    by("query").select();
  } else if (searching && key === "Enter") {
    by("results").querySelector("button[data-clip]")?.click();
  } else if (searching && key === "ArrowDown") {
    by("results").querySelector("button")?.focus();
  } else if (list && (key === "ArrowDown" || key === "ArrowUp")) {
    const lines = [...list.querySelectorAll("button:not(.act)")], at = lines.indexOf(target) + (key === "ArrowDown" ? 1 : -1);
    if (at < 0 && list.id === "results") by("query").focus();
    lines[at]?.focus();
  } else if (typing || target.closest("select") || target.closest("input, button") && (key === " " || !action)) {
    return; // these elements handle keys themselves
  } else if (target === bar && windows && (key === "ArrowLeft" || key === "ArrowRight")) {
    stepWindow(key === "ArrowLeft" ? -1 : 1);
  } else if (DIRECTIONS[key] && (target === map || document.documentElement.scrollHeight <= innerHeight)) {
    step(DIRECTIONS[key]);
  } else if (action) {
    action();
  } else {
    return;
  }
  event.preventDefault();
});
