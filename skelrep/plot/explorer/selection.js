// -- selection, labels typed in, and their export ------------------------------------------------------------------

const selected = new Uint8Array(count);
let selectedCount = 0, isSaved = true;
const selectable = (i) => visible(i) && (!state.found || state.found[i] === 1);

function select(points, how = "replace") { // "replace", "add" or "remove"; what is hidden is never selected
  if (how === "replace") selected.fill(0);
  for (const i of points) if (how === "remove" || selectable(i)) selected[i] = how === "remove" ? 0 : 1;
  afterSelecting();
}

function toggle(i) {
  selected[i] = 1 - selected[i];
  afterSelecting();
}

function afterSelecting() {
  selectedCount = selected.reduce((sum, one) => sum + one, 0);
  by("chosen").textContent = selectedCount ? amount(selectedCount) : "Nothing. Drag with Shift or the lasso, Shift + click, or ⊕ in the legend.";
  by("chosen").classList.toggle("soft", !selectedCount);
  for (const id of ["drop", "export-selection", "name-selection"]) by(id).disabled = !selectedCount;
  say(`${amount(selectedCount)} selected`);
  redraw();
  drawScenery();
}

const tidy = (text) => text.replace(/[\s\u0000-\u001f\u007f-\u009f]+/g, " ").trim(); // one line, as in a table

function nameSelection(text) { // gives all selected clips a label; an empty one takes labels away
  const label = tidy(text);
  if (!selectedCount) return;
  let code = label ? typed.classes.indexOf(label, 1) : NO_LABEL;
  if (code < 0) code = typed.classes.push(label) - 1;
  for (let i = 0; i < count; i++) if (selected[i]) typed.codes[i] = code;
  isSaved = false;
  const done = label ? `${amount(selectedCount)} named ${label}` : `labels of ${amount(selectedCount)} removed`;
  select([]); // so that the next lasso does not add to clips that are named
  say(done);
  afterNaming();
}

function afterNaming() {
  const members = typed.classes.map(() => []);
  for (let i = 0; i < count; i++) members[typed.codes[i]].push(i);
  by("labels").replaceChildren(...typed.classes.flatMap((label, code) => {
    if (code === NO_LABEL || !members[code].length) return [];
    const item = document.createElement("li"), made = button("", "", `Select the clips named ${label}`);
    spans(made, [["name", label], ["number", members[code].length]]);
    made.addEventListener("click", () => select(members[code]));
    const remove = button("✕", "act", `Remove the label ${label}`);
    remove.addEventListener("click", () => { for (const i of members[code]) typed.codes[i] = NO_LABEL; isSaved = false; afterNaming(); });
    item.append(made, remove);
    return [item];
  }));
  const given = count - members[NO_LABEL].length;
  by("export-labels").disabled = !given;
  by("export-labels").textContent = given ? `Export ${given} label${given === 1 ? "" : "s"}` : "Export labels";
  by("known").replaceChildren(...[...new Set([...typed.classes.slice(1), ...colourings[0].classes])].filter((label) => label !== data.none).map((label) => {
    const option = document.createElement("option");
    option.value = label;
    return option;
  }));
  if (classes === typed.classes) colourBy(typed); // its classes may be more
  describe();
  redraw();
  drawScenery();
}

// The tables that `skelrep fit` reads: of windows as `--events`, with their times in the recording; else as `--labels`.
const quoted = (text) => /[",;|\t\n\r\u0085\u2028\u2029]/.test(text) ? `"${text.replaceAll('"', '""')}"` : String(text);

function table(points, labelOf) {
  const header = windows ? ["id", "clip", "person", "label", "start", "end"] : ["id", "label"];
  const rows = points.map((i) => windows
    ? [data.ids[i], data.names[recordingOf(i)], data.people[recordingOf(i)], labelOf(i), String(startOf(i)), String(endOf(i))]
    : [data.ids[i], labelOf(i)]);
  return [header, ...rows].map((row) => row.map(quoted).join(",") + "\n").join("");
}

function download(text, what) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = `${data.title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60) || "explorer"}-${what}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const numbers = (keep) => Array.from({ length: count }, (_, i) => i).filter(keep);
const typedLabel = (i) => typed.codes[i] === NO_LABEL ? "" : typed.classes[typed.codes[i]];
const ownLabel = (i) => colourings[0].name === "label" ? colourings[0].classes[colourings[0].codes[i]] : "";

function exportLabels() {
  download(table(numbers((i) => typed.codes[i] !== NO_LABEL), typedLabel), "labels");
  isSaved = true;
}
function exportSelection() { // with the labels typed in, or else those of the clips
  download(table(numbers((i) => selected[i]), (i) => typedLabel(i) || ownLabel(i)), "selection");
}

by("drop").addEventListener("click", () => select([]));
by("naming").addEventListener("submit", (event) => {
  event.preventDefault();
  nameSelection(by("typed").value);
  by("typed").value = "";
  map.focus(); // where the next clips are selected
});
by("export-labels").addEventListener("click", exportLabels);
by("export-selection").addEventListener("click", exportSelection);
addEventListener("beforeunload", (event) => { if (!isSaved) event.preventDefault(); });
