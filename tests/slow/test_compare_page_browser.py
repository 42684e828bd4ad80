"""The comparison page in a browser: what a click, a key, a pointer and a finger do; needs Chromium and playwright."""

import os
import shutil

import numpy as np
import pytest

from thingstuff.report.page import Layer, LayerSegment, Page, PageImage, PageOptions, PageTable, write_page

pytestmark = pytest.mark.slow

HOSTILE = "</script><img src=x onerror=alert(1)>"
LEDGER = "eroded: 36 of 436 px taken by cat #2"
H, W = 60, 80
DOG, CAT = (10, 10, 30, 30), (40, 20, 70, 50)  # x0, y0, x1, y1
COLORS = {"input": (90, 90, 90), "ground truth": (0, 90, 0), "A: instance": (0, 0, 200), "A: panoptic": (200, 0, 0)}


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """A function: page, options of the page, and of the browser's window -> its tab. No tab may report an error."""
    complaints, contexts = [], []

    def visit(page=None, options=None, name="page.html", **window):
        path = write_page(page or shapes(), tmp_path / name, options)
        contexts.append(browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | window)))
        tab = contexts[-1].new_page()
        tab.complaints = complaints
        tab.on("console", lambda message: message.type == "error" and complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
        tab.on("request", lambda request: request.url.startswith("http") and complaints.append(request.url))
        tab.goto(path.as_uri())
        return tab

    yield visit
    for context in contexts:
        context.close()
    assert not complaints


def shapes(keys=("a.png", "b.png", "c.png")):
    table = PageTable("Scores", ["class", "AP"], [["dog", 9.5], ["cat", None], ["bird", 10.25]], footnotes=["a note"])
    images = [image(key, {"PQ": float(place)}, has_cat=place != 1) for place, key in enumerate(keys)]
    return Page("A comparison", ["It costs 2 AP."], [table], images, [("dog", (200, 0, 0), True)])


def image(key, ranks, has_cat=True, name="dog"):
    ids = np.zeros((H, W), np.uint32)
    segments = [LayerSegment(name, "eroded", True, 400, id=5, score=0.9, text=LEDGER)]
    dropped = LayerSegment("bird", "dropped", True, 50, score=0.3, text="dropped: score", box_xywh=(50, 5, 20, 10))
    for number, (x0, y0, x1, y1) in ((5, DOG), (9, CAT)):
        ids[y0:y1, x0:x1] = number
    true = Layer(ids, [LayerSegment("dog", "true", True, 400, id=5), LayerSegment("truck", "true", True, 900, id=9)])
    if has_cat:
        segments.append(LayerSegment("cat", "kept", True, 900, id=9, score=0.8))
    found = Layer(np.where(ids == 9, 9 * has_cat, ids).astype(np.uint32), segments, [dropped])
    pictures = {view: np.full((H, W, 3), color, np.uint8) for view, color in COLORS.items()}
    return PageImage(key, W, H, pictures, {"ground truth": true, "A: panoptic": found}, ranks)


def open_first(tab):
    tab.locator("#images button").first.click()
    tab.wait_for_selector("#segments button")


def on_stage(tab, x, y):
    """Window coordinates of a pixel of the image."""
    box = tab.locator("#stage").bounding_box()
    return box["x"] + box["width"] * (x + 0.5) / W, box["y"] + box["height"] * (y + 0.5) / H


def wipe(tab):
    return float(tab.locator("#wipe").input_value())


def keys_shown(tab):
    return tab.locator("#images .key").all_text_contents()


def inked(tab):
    """x0, y0, x1, y1 of what is drawn on the outline's canvas, in pixels of the image, or None."""
    return tab.evaluate(
        """([width, height]) => {
          const canvas = document.getElementById("outline");
          if (!canvas.width || !canvas.height) return null;
          const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          const at = [...Array(canvas.width * canvas.height).keys()].filter((i) => data[4 * i + 3]);
          if (!at.length) return null;
          const span = (values, scale) => {
            const inImage = values.map((value) => value * scale);
            return [inImage.reduce((a, b) => Math.min(a, b)), inImage.reduce((a, b) => Math.max(a, b))];
          };
          const [x0, x1] = span(at.map((i) => i % canvas.width), width / canvas.width);
          const [y0, y1] = span(at.map((i) => Math.floor(i / canvas.width)), height / canvas.height);
          return [x0, y0, x1, y1];
        }""",
        [W, H],
    )


def test_a_table_sorts_by_a_click_and_by_the_keyboard(open_page):
    tab = open_page()
    first_column = tab.locator("tbody td:first-child")
    header = tab.locator("th").nth(1)
    header.get_by_role("button").click()
    assert (header.get_attribute("aria-sort"), first_column.all_inner_texts()) == ("descending", ["bird", "dog", "cat"])
    header.get_by_role("button").press("Enter")
    assert (header.get_attribute("aria-sort"), first_column.all_inner_texts()) == ("ascending", ["dog", "bird", "cat"])
    header.get_by_role("button").press("Space")
    assert (header.get_attribute("aria-sort"), first_column.all_inner_texts()) == (None, ["dog", "cat", "bird"])
    tab.locator("th").first.click()
    assert first_column.all_inner_texts() == ["bird", "cat", "dog"]


def test_images_are_ranked_and_filtered(open_page):
    tab = open_page()
    assert keys_shown(tab) == ["c.png", "b.png", "a.png"]
    tab.locator("#direction").click()
    assert keys_shown(tab) == ["a.png", "b.png", "c.png"]
    tab.locator("#class").select_option(label="cat")
    assert keys_shown(tab) == ["a.png", "c.png"]
    assert tab.locator("#count").inner_text() == "2 of 3 images"
    tab.locator("#outcome").select_option(label="dropped")
    assert keys_shown(tab) == []  # cats are kept; what is dropped are birds
    tab.locator("#class").select_option(label="bird")
    assert len(keys_shown(tab)) == 3
    tab.locator("#name").fill("B.")
    assert keys_shown(tab) == ["b.png"]


@pytest.mark.parametrize("beside", [False, True])
def test_hovering_a_segment_tells_what_the_merge_did(open_page, beside):
    tab = open_page(options=PageOptions(embed_images=0) if beside else None, name="50% #1.html")
    open_first(tab)
    tab.mouse.move(*on_stage(tab, 20, 20))
    tip = tab.locator("#tip").inner_text()
    for part in ("dog 0.90", LEDGER, "400 px", "8.3 %", "ground truth: dog"):  # 400 of 4800 pixels
        assert part in tip
    assert inked(tab) == pytest.approx(DOG, abs=0.7)
    tab.mouse.move(*on_stage(tab, 60, 40))
    assert "cat 0.80" in tab.locator("#tip").inner_text()
    assert "ground truth: truck" in tab.locator("#tip").inner_text()
    tab.mouse.move(*on_stage(tab, 2, 55))
    assert "nothing here" in tab.locator("#tip").inner_text()
    tab.mouse.move(2, 2)
    assert tab.locator("#tip").is_hidden()
    assert inked(tab) is None


def test_a_dropped_instance_is_listed_and_outlined(open_page):
    tab = open_page()
    open_first(tab)
    entry = tab.locator("#segments button").first
    assert "bird 0.30" in entry.inner_text()
    assert "dropped: score" in entry.inner_text()
    entry.hover()
    assert inked(tab) == pytest.approx((50, 5, 70, 15), abs=0.7)


def test_the_seam_follows_the_pointer_and_the_keyboard(open_page):
    tab = open_page()
    open_first(tab)
    assert wipe(tab) == 50
    tab.mouse.move(*on_stage(tab, 40, 30))
    tab.mouse.down()
    tab.mouse.move(*on_stage(tab, 19.5, 30), steps=5)
    tab.mouse.up()
    assert wipe(tab) == pytest.approx(25, abs=1)
    tab.mouse.move(*on_stage(tab, 60, 30))
    assert wipe(tab) == pytest.approx(25, abs=1)  # only while it is pressed
    shown = tab.evaluate("getComputedStyle(document.getElementById('right-picture')).clipPath")
    assert float(shown.split()[-1].rstrip("%)")) == pytest.approx(25, abs=1)
    tab.locator("#wipe").focus()
    tab.keyboard.press("ArrowRight")
    assert wipe(tab) == pytest.approx(25.5, abs=1)
    assert tab.locator("#viewer-name").inner_text() == "c.png"  # the arrow moved the seam, not the image


def test_the_keyboard_walks_through_images_and_views(open_page):
    from playwright.sync_api import expect  # waits without eval, which the page forbids

    tab = open_page()
    tab.locator("#images button").first.press("Enter")
    tab.wait_for_selector("#segments button")
    tab.locator("#segments button").first.focus()
    assert tab.locator("#right-view").input_value() == "A: panoptic"
    tab.keyboard.press("2")
    tab.keyboard.press("Shift+Digit1")
    tab.keyboard.press("9")  # there is none
    for key, name in (
        ("ArrowRight", "b.png"),
        ("ArrowRight", "a.png"),
        ("ArrowRight", "a.png"),
        ("ArrowLeft", "b.png"),
    ):
        tab.keyboard.press(key)
        expect(tab.locator("#viewer-name")).to_have_text(name)
        tab.wait_for_selector("#segments button")
        assert tab.locator("#right-view").input_value() == "ground truth"  # kept from image to image
        assert tab.locator("#left-view").input_value() == "input"
    tab.keyboard.press("Escape")
    assert not tab.locator("#viewer").is_visible()
    expect(tab.locator("#images button", has_text="b.png")).to_be_focused()


def test_names_do_nothing(open_page):
    n = HOSTILE
    found = Layer(np.full((H, W), 1, np.uint32), [LayerSegment(n, "kept", True, H * W, id=1, text=n)])
    picture = PageImage(n, W, H, {n: np.zeros((H, W, 3), np.uint8)}, {n: found}, {n: 1.0})
    page = Page(n, [n], [PageTable(n, [n], [[n], ["b"]], footnotes=[n])], [picture], [(n, (1, 2, 3), True)])
    for options in (None, PageOptions(embed_images=0)):
        tab = open_page(page, options)
        tab.locator("th button").click()
        open_first(tab)
        tab.mouse.move(*on_stage(tab, 5, 5))
        assert n in tab.locator("#tip").inner_text()
        assert n in tab.locator("#segments").inner_text()
        assert tab.locator("#viewer-name").inner_text() == n
        assert tab.locator("img[src=x], [onerror]").count() == 0
        tab.wait_for_timeout(100)  # for an alert that should not come; the fixture would see it


def test_a_phone_shows_one_column_and_takes_fingers(open_page):
    tab = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    tab.locator("#images button").first.tap()
    tab.wait_for_selector("#segments button")
    assert tab.evaluate("document.getElementById('viewer').scrollWidth") <= 390
    stage, segments = (tab.locator(part).bounding_box() for part in ("#stage", "#segments"))
    assert segments["y"] > stage["y"] + stage["height"]
    tab.touchscreen.tap(*on_stage(tab, 20, 20))
    assert LEDGER in tab.locator("#tip").inner_text()
    tab.locator("#segments button").first.tap()
    assert tab.locator("#tip").is_hidden()
    assert inked(tab) == pytest.approx((50, 5, 70, 15), abs=0.7)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dark_and_light_follow_the_system_until_the_switch(open_page, scheme):
    tab = open_page(color_scheme=scheme)
    lightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"
    before = tab.evaluate(lightness)
    assert (before > 128) == (scheme == "light")
    tab.locator("#theme").click()
    assert (tab.evaluate(lightness) > 128) != (scheme == "light")
    tab.reload()
    assert (tab.evaluate(lightness) > 128) != (scheme == "light")  # the choice is remembered


def test_a_page_without_its_folder_says_so(open_page, tmp_path):
    tab = open_page(options=PageOptions(embed_images=0))
    shutil.rmtree(tmp_path / "page_files")
    tab.locator("#images button").first.click()
    tab.wait_for_selector("#message:not([hidden])")
    assert "page_files/00002.js is not there" in tab.locator("#message").inner_text()
    assert all("ERR_FILE_NOT_FOUND" in complaint for complaint in tab.complaints)
    tab.complaints.clear()


@pytest.mark.parametrize("beside", [False, True])
def test_five_hundred_images(open_page, beside):
    keys = [f"{number:03d}.png" for number in range(500)]
    tab = open_page(shapes(keys), PageOptions(embed_images=0 if beside else 500))
    assert tab.locator("#images li").count() == 500
    loaded = "[...document.querySelectorAll('#images img')].filter((img) => img.complete && img.naturalWidth).length"
    assert beside is False or tab.evaluate(loaded) < 500  # files are read when they come into sight
    tab.locator("#images button").last.click()
    tab.wait_for_selector("#segments button")
    assert "500 of 500" in tab.locator("#viewer-place").inner_text()
