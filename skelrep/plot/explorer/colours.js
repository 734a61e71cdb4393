// -- colours -------------------------------------------------------------------------------------------------------

let style, colours;
const shade = (name) => style.getPropertyValue("--" + name).trim();

function coloursOf(names) { // for more classes than the palette has, hues differ by the golden angle
  const theme = document.documentElement.dataset.theme, lightness = theme === "dark" ? [60, 72, 50] : [42, 58, 32];
  const palette = data.palette[theme], proper = names.filter((name) => name !== data.none);
  const colour = (i) => proper.length <= palette.length ? palette[i] : `hsl(${(i * 137.508) % 360} ${[75, 55, 90][i % 3]}% ${lightness[i % 3]}%)`;
  return names.map((name) => name === data.none ? shade("none") : colour(proper.indexOf(name)));
}

function paint(theme) {
  document.documentElement.dataset.theme = theme;
  by("theme").textContent = theme === "dark" ? "Light" : "Dark";
  style = getComputedStyle(document.documentElement);
  recolour();
}

function recolour() { // after another theme or another colouring
  colours = coloursOf(classes);
  document.querySelectorAll("[data-class]").forEach((dot) => dot.style.setProperty("--dot", colours[dot.dataset.class]));
  makeSprites();
  redraw();
  drawPlayer();
  drawScenery();
}
