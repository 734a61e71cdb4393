"""The explorer page: its content, and its behaviour if Chromium and playwright are installed."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from skelrep import SKELETONS, Poses, retrieve
from skelrep.cli import main
from skelrep.plot import body, explore

KINECT = SKELETONS["kinect-20"]
HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">&amp;\u2028@POSES@"
)


@pytest.fixture(scope="module")
def rows():
    """Three bundles of ten."""
    rng = np.random.default_rng(0)
    return (np.repeat(np.eye(3, 8), 10, axis=0) + 0.2 * rng.normal(size=(30, 8))).astype(np.float32)


@pytest.fixture(scope="module")
def poses():
    rng = np.random.default_rng(1)
    body = rng.normal(size=(20, 3))
    clips = [(body + 0.2 * rng.normal(size=(1 + i % 2, 10 + 5 * i, 20, 3))) for i in range(30)]
    clips[0][0, 3:5, 7] = np.nan
    clips[1][1] = np.nan  # a second person who is never seen
    labels = np.repeat(["bow", "sit", HOSTILE], 10)
    ids = [HOSTILE, *(f"clip-{i}" for i in range(1, 30))]
    return Poses(clips, KINECT, ids, labels, 30.0, info={"subject": np.arange(30) % 5})


def blocks(html):
    """The JSON document and the base64 of the poses."""
    document, text = re.findall(r'<script type="[a-z/]+" id="(?:document|poses)">(.*?)</script>', html, re.DOTALL)
    return json.loads(document), text


def decoded(document, text, i):
    """(frames, persons, joints, channels) in the poses' unit, as the page reads them."""
    shapes = [(frames, persons, document["joints"], document["channels"]) for persons, frames, *_ in document["clips"]]
    lengths = [-(-int(np.prod(shape)) * 2 // 3) * 4 for shape in shapes]
    start = sum(lengths[:i])
    values = np.frombuffer(base64.b64decode(text[start : start + lengths[i]]), "<i2").reshape(shapes[i]).astype(float)
    values[values == explore.MISSING] = np.nan
    return values * document["clips"][i][3] / 32767


def test_page_loads_nothing_and_runs_only_its_own_script(poses, rows):
    html = explore.page(poses, rows, title=HOSTILE)
    seen = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            seen.append((tag, dict(attrs)))

    Reader().feed(html)
    assert [attributes.get("type") for tag, attributes in seen if tag == "script"] == [
        "application/json",
        "text/plain",
        None,
    ]
    assert not {"link", "img", "iframe", "object", "base"} & {tag for tag, _ in seen}
    for _, attributes in seen:
        assert not {"src", "href", "action"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
    policy = next(a["content"] for _, a in seen if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'") and "http" not in policy
    code = html.rsplit("<script>", 1)[1]
    for unsafe in ("://", "@import", "url(", "fetch(", "innerHTML", "insertAdjacent", "document.write", "eval("):
        assert unsafe not in code and unsafe not in html.split("<style>")[1].split("</style>")[0], unsafe
    document, _ = blocks(html)
    assert document["title"] == document["ids"][0] == HOSTILE and HOSTILE in document["classes"]


def test_poses_in_the_page_equal_the_clips_up_to_quantisation(poses, rows):
    document, text = blocks(explore.page(poses, rows))
    for i in (0, 1, 2, 29):
        persons, frames, seconds, scale, trunk, floor = document["clips"][i]
        clip = poses.clips[i][:persons]
        assert persons == (1 if i < 2 else 1 + i % 2) and frames == min(64, clip.shape[1])
        assert seconds == pytest.approx(clip.shape[1] / 30, abs=1e-3)
        expected = body.oriented(clip, KINECT)
        at = np.linspace(0, clip.shape[1] - 1, frames).round().astype(int)
        np.testing.assert_allclose(decoded(document, text, i), expected[:, at].swapaxes(0, 1), atol=0.6 * scale / 32767)
        assert np.nanmax(np.abs(expected)) <= scale * (1 + 1e-6)
        assert floor * scale == pytest.approx(body.ground(expected, KINECT), abs=1e-4 * scale)
        assert trunk * scale == pytest.approx(body.trunk_length(expected, KINECT), abs=1e-4 * scale)


def test_two_dimensional_poses_have_two_channels(poses, rows):
    flat = Poses([clip[:1, :, :, :2] for clip in poses.clips], KINECT)
    document, text = blocks(explore.page(flat, rows))
    assert document["channels"] == 2 and decoded(document, text, 3).shape == (25, 1, 20, 2)


def test_size_of_the_poses_is_bounded(poses, rows, monkeypatch):
    monkeypatch.setattr(explore, "MOST_POSE_BYTES", 50_000)
    document, text = blocks(explore.page(poses, rows))
    assert 40_000 < len(text) <= 50_000
    assert max(frames for _, frames, *_ in document["clips"]) < 64
    # At the real bound 5000 one-person clips of ntu-25 keep this many of their frames.
    monkeypatch.undo()
    assert 35 < explore.MOST_POSE_BYTES / (5000 * 25 * 3 * 2 * 4 / 3) < explore.MOST_FRAMES
    assert explore.MOST_POSE_BYTES < 40e6


def test_neighbours_equal_retrieve(poses, rows):
    document, _ = blocks(explore.page(poses, rows))
    found = retrieve(rows, rows, k=10, leave_one_out=True)
    assert document["neighbours"] == found.indices.tolist()
    np.testing.assert_allclose(document["similarities"], found.similarities, atol=6e-4)
    few, _ = blocks(explore.page(poses[:4], rows[:4]))
    assert np.shape(few["neighbours"]) == (4, 3)


def test_the_map_shows_the_principal_components(poses, rows):
    from sklearn.decomposition import PCA

    document, _ = blocks(explore.page(poses, rows))
    points = np.array(document["points"])
    assert np.abs(points).max() == pytest.approx(1, abs=1e-3)
    expected = PCA(2).fit_transform(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    for ours, theirs in zip(points.T, expected.T):
        assert abs(np.corrcoef(ours, theirs)[0, 1]) > 0.9999
    ratio = np.ptp(points, axis=0) / np.ptp(expected, axis=0)
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-3)  # both axes in one unit
    blocks(explore.page(poses, np.ones((30, 1))))  # one dimension, and all alike


def test_points_are_coloured_by_label_or_by_cluster(poses, rows):
    document, _ = blocks(explore.page(poses, rows))
    assert [document["classes"][code] for code in document["codes"]] == poses.labels.tolist()
    by_subject, _ = blocks(explore.page(poses, rows, labels=poses.info["subject"]))
    assert by_subject["classes"] == ["0", "1", "2", "3", "4"] and by_subject["coloured"] == "label"
    clustered, _ = blocks(explore.page(replace(poses, labels=None), rows))
    assert clustered["classes"] == [f"cluster {i}" for i in range(1, 5)]  # the root of 15
    codes = np.array(clustered["codes"])
    sizes = np.bincount(codes)
    assert sizes.tolist() == sorted(sizes, reverse=True)
    assert all(len(set(codes[i * 10 : i * 10 + 10]) & set(np.delete(codes, range(i * 10, i * 10 + 10)))) == 0
               for i in range(3))  # fmt: skip


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rows": np.ones((29, 8))}, ValueError, "30 clips but 29 embeddings"),
        ({"labels": ["a"]}, ValueError, r"30 clips but labels of shape \(1,\)"),
        ({"map": "tsne"}, ValueError, "map='tsne' must be one of pca, umap"),
        ({"map": "umap"}, ModuleNotFoundError, "pip install umap-learn"),
        ({"rows": np.full((30, 8), np.nan)}, ValueError, "NaN or infinity"),
    ],
)
def test_bad_arguments_are_refused(poses, rows, monkeypatch, options, error, message):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(error, match=message):
        explore.page(poses, options.pop("rows", rows), **options)


def test_command_with_stored_embeddings(poses, rows, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    poses.save("clips.npz")
    np.savez("rows.npz", embeddings=rows, ids=poses.ids)
    np.savez("others.npz", embeddings=rows, ids=poses.ids[::-1])
    np.save("rows.npy", rows)
    for file in ("rows.npz", "rows.npy"):
        command = ["explore", "clips.npz", "-o", "page.html", "--embeddings", file, "--labels", "subject", "--json"]
        assert main(command) == 0
        told = json.loads(capsys.readouterr().out)
        assert told == {"output": "page.html", "clips": 30, "bytes": (tmp_path / "page.html").stat().st_size}
        document, _ = blocks((tmp_path / "page.html").read_text(encoding="utf-8"))
        assert document["title"] == "clips" and document["classes"] == ["0", "1", "2", "3", "4"]
    for options, message in (
        (["--embeddings", "others.npz"], "are from other clips or in another order"),
        (["--embeddings", "clips.npz"], "clips.npz contains no embeddings"),
        (["--embeddings", "rows.npy", "--labels", "camera"], "'camera'"),
    ):
        assert main(["explore", "clips.npz", "-o", "other.html", *options]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "other.html").exists()


def test_command_embeds_the_poses(poses, tiny_encoder, tmp_path, monkeypatch):
    from skelrep import save_pretrained

    monkeypatch.chdir(tmp_path)
    save_pretrained(tiny_encoder, "model")
    poses.save("clips.npz")
    assert main(["explore", "clips.npz", "-m", "model", "-o", "page.html", "-q"]) == 0
    document, _ = blocks((tmp_path / "page.html").read_text(encoding="utf-8"))
    embeddings = tiny_encoder.embed(poses)
    assert document["neighbours"] == retrieve(embeddings, embeddings, leave_one_out=True).indices.tolist()


# -- in a browser -----------------------------------------------------------------------------------------------------

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def browser():
    driver = pytest.importorskip("playwright.sync_api", reason="drives the browser: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium on the PATH")
    with driver.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser, poses, rows, tmp_path):
    """The page, opened; afterwards it must have asked for nothing and complained of nothing."""
    (tmp_path / "page.html").write_text(explore.page(poses, rows), encoding="utf-8")
    tab = browser.new_page(viewport={"width": 1200, "height": 700}, color_scheme="light")
    told, asked = [], []
    tab.on("console", lambda message: told.append(message.text))
    tab.on("pageerror", lambda error: told.append(str(error)))
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto((tmp_path / "page.html").as_uri())
    yield tab
    assert told == [] and asked == [(tmp_path / "page.html").as_uri()]
    assert tab.title() == "skelrep explorer"
    tab.close()


def point(tab, i):
    """The position of a clip on the screen."""
    return tab.evaluate(
        "i => { const box = map.getBoundingClientRect(); return [box.left + screenX(i), box.top + screenY(i)]; }", i
    )


def until(tab, condition):
    """Playwright's own waiting uses eval, which the page forbids."""
    for _ in range(250):
        if tab.evaluate(condition):
            return
        tab.wait_for_timeout(20)
    raise AssertionError(f"never came true: {condition}")


def inked(tab, canvas):
    """How many different colours a canvas shows."""
    with Image.open(io.BytesIO(tab.locator(f"#{canvas}").screenshot())) as image:
        return len(image.getcolors(2**20))


def test_pointing_clicking_and_neighbours(tab, poses, rows):
    neighbours = retrieve(rows, rows, k=10, leave_one_out=True).indices
    assert inked(tab, "map") > 60 > inked(tab, "player")
    tab.mouse.move(*point(tab, 0))
    assert tab.text_content("#name") == HOSTILE
    assert inked(tab, "player") > 100
    shown = tab.locator("#neighbours button").evaluate_all("all => all.map((b) => Number(b.dataset.clip))")
    assert shown == neighbours[0].tolist()
    tab.mouse.click(*point(tab, 12))
    tab.mouse.move(2, 400)  # off the map: what was clicked stays
    assert tab.inner_text("#name") == "clip-12" and tab.inner_text("#facts").startswith("sit · 2.3 s")
    tab.locator("#neighbours button").nth(2).click()
    assert tab.inner_text("#name") == poses.ids[neighbours[12, 2]]
    before = tab.evaluate("state.time")
    until(tab, f"state.time !== {before}")  # it plays
    tab.click("#play")
    assert tab.inner_text("#play") == "Play" and not tab.evaluate("state.playing")


def test_search_keyboard_and_legend(tab):
    tab.keyboard.press("/")
    tab.keyboard.type("SIT")
    assert tab.locator("#results button").count() == 10
    tab.keyboard.press("Enter")
    assert tab.inner_text("#name") == "clip-10" and tab.evaluate("document.activeElement.id") == "map"
    tab.keyboard.press("Escape")
    assert tab.input_value("#query") == "" and tab.inner_text("#name") == "clip-10"
    here = tab.evaluate("xs[state.shown]")
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("xs[state.shown]") > here
    tab.keyboard.press("n")
    tab.keyboard.press("ArrowDown")
    wanted = tab.evaluate("data.neighbours[state.shown][1]")
    tab.keyboard.press("Enter")
    assert tab.evaluate("state.kept") == wanted
    tab.locator("#map").focus()
    tab.keyboard.press("Escape")
    assert tab.inner_text("#name") == "No clip selected"
    button = tab.locator("#classes button", has_text="bow")
    button.click()
    bow = tab.evaluate("data.codes.findIndex((code) => data.classes[code] === 'bow')")
    assert button.get_attribute("aria-pressed") == "false"
    tab.mouse.move(*point(tab, bow))
    assert not tab.inner_text("#facts").startswith("bow")  # what is hidden is not found
    tab.click("#all")
    tab.mouse.move(*point(tab, bow))
    assert tab.evaluate("visible(0) && visible(29)")


def test_light_and_dark_zoom_and_turning(tab):
    back = "getComputedStyle(document.body).backgroundColor"
    light = tab.evaluate(back)
    tab.click("#theme")
    dark = tab.evaluate(back)
    assert light == "rgb(255, 255, 255)" and dark != light
    tab.emulate_media(color_scheme="dark")
    until(tab, f"{back} === '{dark}'")
    x, y = point(tab, 5)
    tab.mouse.move(x, y)
    tab.mouse.wheel(0, -400)
    until(tab, "state.zoom > 1.5")
    assert point(tab, 5) == pytest.approx([x, y], abs=2)  # what is under the pointer stays there
    tab.mouse.down()
    tab.mouse.move(x + 60, y + 20)
    tab.mouse.up()
    assert point(tab, 5) == pytest.approx([x + 60, y + 20], abs=3)
    assert tab.evaluate("state.kept") == -1  # a drag is no click
    tab.keyboard.press("0")
    assert tab.evaluate("[state.zoom, state.x, state.y]") == [1, 0, 0]
    tab.mouse.click(*point(tab, 5))
    box = tab.locator("#player").bounding_box()
    turn = tab.evaluate("state.turn")
    tab.mouse.move(box["x"] + 100, box["y"] + 100)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 150, box["y"] + 100, steps=3)
    tab.mouse.up()
    assert tab.evaluate("state.turn") != turn
    tab.set_viewport_size({"width": 500, "height": 800})
    until(tab, "wide > 400 && wide < 510")
    assert inked(tab, "map") > 60
