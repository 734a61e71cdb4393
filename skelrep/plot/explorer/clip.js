// -- the clip that is shown ----------------------------------------------------------------------------------------

function hover(i) {
  if (i === state.hovered) return;
  state.hovered = i;
  map.style.cursor = i < 0 ? "" : "pointer";
  // If the pointer leaves all clips, show the clip that was clicked, or else the last one.
  show(i >= 0 ? i : state.kept >= 0 ? state.kept : state.shown);
}

function keep(i) {
  state.kept = i;
  state.hovered = -1;
  if (i >= 0) {
    state.hidden.delete(codes[i]) && legend();
    see(i);
    say(`${data.ids[i]}, ${classes[codes[i]]}`);
  }
  show(i);
}

function show(i) {
  if (i !== state.shown) {
    state.shown = i;
    state.time = 0;
    describe();
    showRecording();
  }
  remark();
  drawPlayer();
}

function describe() {
  const i = state.shown, list = by("neighbours");
  by("near").hidden = i < 0;
  if (i < 0) {
    by("name").textContent = "No clip selected";
    by("facts").textContent = "Hover over a clip on the map to play it; click to keep it.";
    player.setAttribute("aria-label", "No clip is playing");
    list.replaceChildren();
    by("time").value = 0;
    return;
  }
  const [persons] = data.sequences[recordingOf(i)], label = classes[codes[i]], given = typed.codes[i];
  const facts = [label, windows ? `${clock(startOf(i))} to ${clock(endOf(i))}` : `${secondsOf(i).toFixed(1)} s`];
  if (persons > 1) facts.push(`${persons} persons`);
  if (given !== NO_LABEL) facts.push(`named ${typed.classes[given]}`);
  by("name").textContent = data.ids[i];
  by("facts").textContent = facts.join(" · ");
  player.setAttribute("aria-label", `Skeleton of ${data.ids[i]}, ${label}`);
  list.replaceChildren(...data.neighbours[i].map((other, n) => entry(other, data.similarities[i][n].toFixed(3))));
}

function entry(i, number) { // a line of a list of clips
  const item = document.createElement("li"), made = document.createElement("button"), dot = document.createElement("span");
  made.type = "button";
  dot.className = "dot";
  dot.dataset.class = codes[i];
  dot.style.setProperty("--dot", colours[codes[i]]);
  made.append(dot);
  spans(made, [["name", `${data.ids[i]} · ${classes[codes[i]]}`], ["number", number]]);
  made.title = data.ids[i];
  made.dataset.clip = i;
  item.append(made);
  return item;
}
