"""Ids, labels and titles in the explorer page stay text, whatever they contain: held in a real browser.

The test knows nothing of the layout: it visits every element and every point, and looks at what the page shows.
"""

from __future__ import annotations

import numpy as np
import pytest

from skelrep import SKELETONS, Poses
from skelrep.plot import explore
from tests.browser import CHROMIUM, Chromium

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on the PATH")

RUN = "window.owned=1"
#: Text that would run RUN, break the data out of its element or spoil the page, if it were taken for anything else.
HOSTILE = [
    f"</script><script>{RUN}</script>",
    f"<!--<script>{RUN}//-->",
    f"</title></style><img src=x onerror='{RUN}'>",
    f"\"><svg onload=\"{RUN}\">' onmouseover='{RUN}' x='",
    f"javascript:{RUN}",
    f'<iframe srcdoc="<script>parent.{RUN}</script>">',
    f'\\";{RUN}//\\u003cscript\\u003e{RUN}',
    f"${{{RUN}}}`+{RUN}+`",
    "\u2028\u2029\u0085\ufeffline ends of JavaScript",
    "\x1b[2J\x07\x01\x7f\x9bcontrol characters",
    "\u202egnp.exe\u202c right to left",
    "@DOCUMENT@ @POSES@ &lt;b&gt;&amp;&#0;",
    "__proto__",
    "constructor",
    "url(//example.org/x);background:red}",
    f"<a href='//example.org' onclick='{RUN}'>" + "long " * 2000,
]

#: Does everything that a user can do with the page, and returns all text that it has shown.
VISIT = """
() => {
  const shown = new Set();
  const look = () => {
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT | NodeFilter.SHOW_ELEMENT);
    while (walk.nextNode()) {
      const node = walk.currentNode;
      if (node.nodeType === Node.TEXT_NODE) { if (node.parentElement.tagName !== "SCRIPT") shown.add(node.data); }
      else for (const attribute of node.attributes) shown.add(attribute.value);
    }
    shown.add(document.title);
  };
  const event = (element, type, more) => {
    const kind = type.startsWith("pointer") ? PointerEvent : type.startsWith("key") ? KeyboardEvent : MouseEvent;
    element.dispatchEvent(new kind(type, { bubbles: true, cancelable: true, ...more }));
  };
  const canvases = [...document.querySelectorAll("canvas")];
  for (const canvas of canvases) {
    const box = canvas.getBoundingClientRect();
    for (let x = 0; x <= 1; x += 1 / 24) for (let y = 0; y <= 1; y += 1 / 24) {
      const place = { clientX: box.left + x * box.width, clientY: box.top + y * box.height };
      for (const type of ["pointermove", "mousemove", "click"]) event(canvas, type, place);
      look();
    }
  }
  for (const input of document.querySelectorAll("input")) {
    for (const letter of ["s", "x", "e", "o", "c", "l"]) {
      input.value = letter;
      event(input, "input");
      look();
    }
    input.value = "";
    event(input, "input");
  }
  for (let round = 0; round < 2; round++) {
    for (const element of [...document.body.querySelectorAll("*")].filter((each) => each.tagName !== "SCRIPT")) {
      for (const type of ["pointerenter", "mouseover", "click", "dblclick"]) event(element, type);
      if (element.focus) element.focus();
      look();
    }
  }
  return [...shown];
}
"""


@pytest.fixture
def poses() -> Poses:
    rng = np.random.default_rng(0)
    rest = rng.normal(size=(20, 3))
    clips = [rest + 0.2 * rng.normal(size=(1, 8, 20, 3)) for _ in HOSTILE]
    return Poses(clips, SKELETONS["kinect-20"], HOSTILE, HOSTILE[::-1], 30.0)


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(len(HOSTILE), 8)).astype(np.float32)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium = Chromium(tmp_path_factory.mktemp("browser"))
    yield chromium
    chromium.close()


FOREIGN = "document.querySelectorAll('img, iframe, svg, a, object, embed, link, base, b').length"
SCRIPTS = "document.querySelectorAll('script').length"


@pytest.mark.slow
@pytest.mark.parametrize("title", [HOSTILE[0], HOSTILE[2], HOSTILE[-1]], ids=["script", "title", "long"])
def test_hostile_text_is_shown_and_never_run(title, browser, poses, rows, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(explore.page(poses, rows, title=title), encoding="utf-8")
    tab = browser.tab(path.as_uri())
    scripts = tab.evaluate(SCRIPTS)
    assert scripts <= 3 and tab.evaluate(FOREIGN) == 0  # two blocks of data, and the page's own
    shown = set(tab.evaluate(f"({VISIT})()"))
    text = "\n".join(shown)
    for name in [*HOSTILE, title]:
        assert name in shown or name in text, name
    assert tab.evaluate("window.owned === undefined && Object.prototype.polluted === undefined")
    assert tab.evaluate(SCRIPTS) == scripts and tab.evaluate(FOREIGN) == 0
    assert tab.complaints() == [] and {one for one in tab.requests() if not one.startswith("blob:")} == {path.as_uri()}
    assert tab.happened("Page.javascriptDialogOpening") == []
    tab.close()


@pytest.mark.slow
def test_text_that_is_run_would_be_noticed(browser, poses, rows, tmp_path):
    """The same page with innerHTML in place of textContent: the check above can fail."""
    page = explore.page(poses, rows, title=HOSTILE[2])
    assert "textContent" in page
    path = tmp_path / "page.html"
    path.write_text(page.replace("textContent", "innerHTML"), encoding="utf-8")
    tab = browser.tab(path.as_uri())
    tab.until("window.owned === 1")
    assert tab.evaluate(FOREIGN) > 0
    tab.close()
