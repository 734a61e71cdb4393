// -- beginning -----------------------------------------------------------------------------------------------------

function fit() {
  const box = map.getBoundingClientRect(), small = player.getBoundingClientRect(), ratio = devicePixelRatio;
  [wide, high] = [box.width, box.height];
  for (const canvas of [map, marks]) [canvas.width, canvas.height] = [Math.max(1, wide * ratio), Math.max(1, high * ratio)];
  picture = ink.createImageData(map.width, map.height);
  pixels = new Uint32Array(picture.data.buffer);
  [player.width, player.height] = [small.width * ratio, small.height * ratio];
  makeSprites();
  drawMap(); // immediately, because resizing clears a canvas
  drawPlayer();
}

document.title = by("title").textContent = data.title;
const recordings = new Set(data.names).size;
by("count").textContent = amount(count) + (windows ? ` of ${recordings} recording${recordings === 1 ? "" : "s"}` : "");
map.setAttribute("aria-label", `Map of ${amount(count)}. Arrow keys go to the next one, S selects it, slash searches, Escape clears.`);
const dark = matchMedia("(prefers-color-scheme: dark)");
paint(dark.matches ? "dark" : "light");
dark.addEventListener("change", () => paint(dark.matches ? "dark" : "light"));
by("theme").addEventListener("click", () => paint(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
by("help").addEventListener("click", () => by("keys").showModal());
play(state.playing);
colourBy(colourings[0]);
afterSelecting();
afterNaming();
new ResizeObserver(fit).observe(map);
new ResizeObserver(fitTimeline).observe(by("lanes"));
requestAnimationFrame(tick);
