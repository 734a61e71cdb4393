// -- legend and search ---------------------------------------------------------------------------------------------

function colourBy(colouring) {
  ({ classes, codes } = colouring);
  by("colouring").value = colourings.indexOf(colouring);
  state.hidden.clear();
  state.strong = -1;
  measureClasses();
  by("classes").replaceChildren(...classes.map(lineOfClass));
  by("axes").textContent = `${data.map} · colour: ${colouring.name}`;
  recolour();
  describe();
  legend();
}

function legend() {
  by("classes").childNodes.forEach((item, code) => item.firstChild.setAttribute("aria-pressed", !state.hidden.has(code)));
  redraw();
  drawScenery();
}

const membersOf = (code) => numbers((i) => codes[i] === code);

function lineOfClass(name, code) {
  const item = document.createElement("li"), made = button("", "", name), dot = document.createElement("span");
  made.removeAttribute("aria-label"); // its text
  dot.className = "dot";
  dot.dataset.class = code;
  made.append(dot);
  spans(made, [["name", name], ["number", sizes[code]]]);
  made.addEventListener("click", (event) => {
    if (event.shiftKey) { select(membersOf(code), "add"); return; }
    state.hidden.delete(code) || state.hidden.add(code);
    legend();
  });
  made.addEventListener("dblclick", () => { state.hidden = new Set(classes.keys()); state.hidden.delete(code); legend(); });
  for (const [kind, strong] of [["pointerenter", code], ["focus", code], ["pointerleave", -1], ["blur", -1]]) {
    made.addEventListener(kind, () => { state.strong = kind === "focus" && !made.matches(":focus-visible") ? -1 : strong; redraw(); });
  }
  const pick = button("⊕", "act", `Add ${name} to the selection`);
  pick.addEventListener("click", () => select(membersOf(code), "add"));
  item.append(made, pick);
  return item;
}
by("all").addEventListener("click", () => { state.hidden.clear(); legend(); });
by("none").addEventListener("click", () => { state.hidden = new Set(classes.keys()); legend(); });
colourings.forEach(({ name }, n) => {
  const option = document.createElement("option");
  option.value = n;
  option.textContent = name;
  by("colouring").append(option);
});
by("colouring").addEventListener("change", () => colourBy(colourings[by("colouring").value]));

const MOST_RESULTS = 50;
function search() {
  const words = by("query").value.trim().toLowerCase(), results = by("results");
  const found = words ? lowered.flatMap((text, i) => text.includes(words) ? [i] : []) : [];
  state.found = null;
  if (words) {
    state.found = new Uint8Array(count);
    for (const i of found) state.found[i] = 1;
    say(`${amount(found.length)} found`);
  }
  results.hidden = !words;
  results.replaceChildren(...found.slice(0, MOST_RESULTS).map((i) => entry(i, "")));
  if (found.length) {
    const item = document.createElement("li"), all = button(`Select all ${found.length}`, "", "Select all clips found");
    all.id = "select-found";
    all.addEventListener("click", () => { select(found); results.hidden = true; map.focus(); });
    item.append(all);
    results.prepend(item);
  }
  if (words && (!found.length || found.length > MOST_RESULTS)) {
    const note = document.createElement("li");
    note.className = "soft";
    note.textContent = found.length ? `${found.length - MOST_RESULTS} more` : "No id or label contains this text.";
    results.append(note);
  }
  redraw();
}

function clear() {
  by("query").value = "";
  search();
}
by("query").addEventListener("input", search);
by("query").addEventListener("focus", () => { by("results").hidden = !by("query").value.trim(); });
by("find").addEventListener("focusout", (event) => { if (!by("find").contains(event.relatedTarget)) by("results").hidden = true; });
for (const list of ["results", "neighbours"]) {
  by(list).addEventListener("click", (event) => {
    const line = event.target.closest("button[data-clip]");
    if (!line) return;
    keep(Number(line.dataset.clip));
    by("results").hidden = true;
    if (list === "results") map.focus();
    else if (event.detail === 0) by(list).querySelector("button")?.focus(); // by keyboard: the list was replaced, so focus its first entry
  });
}
