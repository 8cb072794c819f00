"""The page in a real browser: Chromium without a window, driven by Selenium."""

from __future__ import annotations

import base64
import json
import re
import shutil
import zlib
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tests.report.examples import CLASSES, EVIL, example, noise
from xecgnet_jax.report import report_html

pytest.importorskip("selenium", reason="selenium is not installed")
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.ci,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not both installed"),
]

SWITCHES = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
).split()
#: px that the picture is wide, mm that it says it is, px of what scrolls in the box, px of the box.
SIZES = (
    "const svg = document.querySelector('#picture svg'), box = svg.parentNode;"
    "return [svg.getBoundingClientRect().width, svg.getAttribute('width'), box.scrollWidth, box.clientWidth]"
)
#: The selected row, read in one step: scrolling draws the rows anew, so elements may be gone between two.
SELECTED = (
    "const row = document.querySelector('#rows [aria-selected=true]'), list = document.getElementById('list');"
    "const [box, place] = [list, row].map((node) => node.getBoundingClientRect().toJSON());"
    "return {position: row.getAttribute('aria-posinset'), id: row.id, box: box, row: place}"
)
#: Seconds after which what is waited for counts as not coming.
PATIENCE = 120
N = 30


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    except WebDriverException as error:
        pytest.skip(f"chromium does not start: {error.msg}")
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def contents():
    ids = [f"A{position:05d}" for position in range(N - 1)] + [EVIL]
    return example(N, ids=ids, title=EVIL, notes=[f"note {EVIL}"] * N)


@pytest.fixture(scope="module")
def html(contents):
    return report_html(contents)


@pytest.fixture(scope="module")
def file(html, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


@pytest.fixture
def page(browser, file):
    """The page as first opened, at 1280 × 900, in light colors."""
    show(browser)
    open_page(browser, file)
    return browser


def open_page(browser, file: Path, hash_: str = "", ready: str = "#picture svg") -> None:
    browser.get("about:blank")  # else a new hash alone loads nothing
    browser.get_log("browser")
    browser.get(file.as_uri() + hash_)
    wait(browser, lambda driver: driver.find_elements(By.CSS_SELECTOR, ready))


def show(browser, width: int = 1280, height: int = 900, colors: str = "light", medium: str = "") -> None:
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    features = [{"name": "prefers-color-scheme", "value": colors}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features, "media": medium})


def wait(browser, condition):
    return WebDriverWait(browser, PATIENCE, poll_frequency=0.05).until(condition)


def find(browser, selector: str):
    return browser.find_element(By.CSS_SELECTOR, selector)


def text(browser, selector: str) -> str:
    return find(browser, selector).get_property("textContent")


def name(browser) -> str:
    return text(browser, "#name")


def background(browser) -> str:
    return browser.execute_script("return getComputedStyle(document.body).backgroundColor")


def press(browser, key: str) -> None:
    find(browser, "body").send_keys(key)


def set_fields(browser, values: dict[str, str]) -> None:
    """Sets filters as a user does, but in one call."""
    browser.execute_script(
        "const form = document.getElementById('filters');"
        "for (const [name, value] of Object.entries(arguments[0])) form.elements[name].value = value;"
        "form.dispatchEvent(new Event('input'))",
        values,
    )


def picture_of(browser, wanted: str) -> None:
    """Waits until the picture is the one of that recording."""
    title = "return document.querySelector('#picture svg title')?.textContent"
    wait(browser, lambda driver: driver.execute_script(title) == wanted)


def test_it_opens_without_complaint_and_shows_the_first_recording(page, contents):
    assert page.get_log("browser") == []
    assert text(page, "#count") == f"{N} of {N} recordings"
    assert text(page, "#position") == f"1 of {N}"
    wrong = (contents.truths != contents.predictions).any(axis=1)
    first = contents.ids.index(name(page))
    assert wrong[first]
    rows = page.find_elements(By.CSS_SELECTOR, "#probabilities tbody tr")
    cells = [[cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")] for row in rows]
    for column, row in enumerate(cells):
        assert row[:2] == [CLASSES[column], f"{contents.probabilities[first, column]:.3f}"]
        word = {(1, 1): "correct", (0, 1): "wrong", (1, 0): "missed", (0, 0): ""}
        assert row[-1] == word[contents.truths[first, column], contents.predictions[first, column]]


def test_names_and_notes_are_text(browser, page, contents):
    assert text(page, "h1") == EVIL
    find(page, "#filters [name=find]").send_keys("<script>")
    wait(page, lambda driver: name(driver) == EVIL)
    assert text(page, "#remark") == f"note {EVIL}"
    picture_of(page, " ".join(EVIL.split()))
    assert "alert" not in page.title
    assert page.title != "broken"
    assert len(page.find_elements(By.TAG_NAME, "script")) == 2
    assert page.find_elements(By.CSS_SELECTOR, "img, #viewer script") == []
    assert page.get_log("browser") == []


def test_filters(page, contents):
    truth, found = contents.truths, contents.predictions
    labels = truth.sum(axis=1)
    groups = {"": labels >= 0, "0": labels == 0, "1": labels == 1, "2": labels > 1}
    for of, result, group in product(("", "AF", "STE"), ("", "right", "wrong", "missed", "extra"), groups):
        columns = [CLASSES.index(of)] if of else list(range(len(CLASSES)))
        kept = {
            "": np.ones(N, bool),
            "right": (truth == found).all(axis=1),
            "wrong": (truth != found).any(axis=1),
            "missed": (truth & ~found)[:, columns].any(axis=1),
            "extra": (found & ~truth)[:, columns].any(axis=1),
        }[result] & groups[group]
        if of:
            kept &= (truth | found)[:, columns].any(axis=1)
        set_fields(page, {"class": of, "result": result, "labels": group})
        expected = {contents.ids[at] for at in np.flatnonzero(kept)}
        count, shown, current = page.execute_script(
            "const [count, viewer, name] = ['count', 'viewer', 'name'].map((id) => document.getElementById(id));"
            "return [count.textContent, viewer.offsetHeight > 0, name.textContent]"
        )
        assert count == f"{len(expected)} of {N} recordings", (of, result, group)
        assert shown == bool(expected)
        assert not expected or current in expected


def test_a_select_filters_when_it_is_used(page, contents):
    Select(find(page, "#filters [name=labels]")).select_by_value("2")
    several = int((contents.truths.sum(axis=1) > 1).sum())
    wait(page, lambda driver: text(driver, "#count") == f"{several} of {N} recordings")


def test_search_and_reset(page):
    find(page, "#filters [name=find]").send_keys("a0001")
    wait(page, lambda driver: text(driver, "#count") == f"10 of {N} recordings")
    assert name(page).startswith("A0001")
    find(page, "#filters button[type=reset]").click()
    wait(page, lambda driver: text(driver, "#count") == f"{N} of {N} recordings")


def test_keys_move(page):
    order = page.execute_script(
        "return JSON.parse(document.getElementById('data').textContent).recordings.map(r => r[0])"
    )
    for key, at in (("j", 1), (Keys.ARROW_RIGHT, 2), ("k", 1), (Keys.ARROW_LEFT, 0), ("k", 0), ("j", 1)):
        press(page, key)
        assert name(page) == order[at]
        assert text(page, "#position") == f"{at + 1} of {N}"
    picture_of(page, order[1])
    page.execute_script("document.getElementById('list').focus()")
    for key, at in ((Keys.ARROW_DOWN, 2), (Keys.END, N - 1), (Keys.ARROW_UP, N - 2), (Keys.HOME, 0)):
        find(page, "#list").send_keys(key)
        assert name(page) == order[at]
        selected = page.execute_script(SELECTED)
        assert selected["position"] == str(at + 1)
        assert find(page, "#list").get_attribute("aria-activedescendant") == selected["id"]
        box, row = selected["box"], selected["row"]
        assert box["y"] - 1 <= row["y"] <= box["y"] + box["height"] - row["height"] + 1
    find(page, "#filters [name=find]").send_keys("j")
    wait(page, lambda driver: text(driver, "#count") != f"{N} of {N} recordings")  # typed, not moved


def test_everything_is_reached_by_tab(page):
    wanted = {"theme", "class", "result", "labels", "find", "list", "next", "fit", "picture"}
    find(page, "#theme").send_keys(Keys.SHIFT + Keys.TAB)  # before the first
    for _ in range(60):
        element = page.switch_to.active_element
        wanted -= {element.get_attribute("id") or element.get_attribute("name")}
        if not wanted:
            break
        element.send_keys(Keys.TAB)
    assert not wanted
    width = page.execute_script(
        "document.getElementById('next').focus({focusVisible: true});"
        "return getComputedStyle(document.getElementById('next')).outlineWidth"
    )
    assert width == "2px"


def test_the_address_keeps_what_is_shown(page, browser, file, contents):
    set_fields(page, {"labels": "1"})
    press(page, "j")
    find(page, "#fit").click()
    here, count = name(page), text(page, "#count")
    hash_ = page.execute_script("return location.hash")
    assert "labels=1" in hash_
    open_page(browser, file, hash_)
    assert (name(page), text(page, "#count")) == (here, count)
    assert find(page, "#fit").is_selected()
    open_page(browser, file, "#class=nonsense&result=x&id=nobody")
    assert text(page, "#count") == f"{N} of {N} recordings"
    assert page.get_log("browser") == []


def test_colors(page):
    light = background(page)
    assert light == "rgb(255, 255, 255)"
    find(page, "#theme").click()
    dark = background(page)
    assert dark != light
    assert text(page, "#theme") == "Light"
    show(page, colors="dark")
    wait(page, lambda driver: background(driver) == dark)
    find(page, "#theme").click()
    assert background(page) == light


def test_colors_of_the_system(browser, file):
    show(browser, colors="dark")
    open_page(browser, file)
    assert background(browser) != "rgb(255, 255, 255)"
    paper = "return getComputedStyle(document.querySelector('#picture svg > rect')).fill"
    assert browser.execute_script(paper) != "rgb(255, 255, 255)"
    show(browser, colors="dark", medium="print")
    wait(browser, lambda driver: background(driver) == "rgb(255, 255, 255)")
    assert browser.execute_script(paper) == "rgb(255, 255, 255)"
    assert not find(browser, "#filters").is_displayed()
    assert find(browser, "#picture svg").is_displayed()


@pytest.mark.parametrize("width", [390, 1280, 1800])
def test_only_boxes_scroll_sideways(browser, file, width):
    show(browser, width=width)
    open_page(browser, file)
    wide = "return [document.documentElement.scrollWidth, document.body.scrollWidth]"
    assert max(browser.execute_script(wide)) <= width
    for selector in ("#theme", "#filters [name=find]", "#list", "#next", "#fit", "#picture"):
        box = find(browser, selector).rect
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def test_the_picture_is_to_scale_or_fits(browser, file):
    show(browser, width=390)
    open_page(browser, file)
    shown, millimeters, inside, box = browser.execute_script(SIZES)
    assert shown == pytest.approx(float(millimeters.removesuffix("mm")) * 96 / 25.4, abs=0.1)
    assert inside > box
    find(browser, "#fit").click()
    shown, _, inside, box = browser.execute_script(SIZES)
    assert shown == pytest.approx(box, abs=1)
    assert inside == box


def test_on_paper_it_is_to_scale(page):
    """Chromium makes all pages smaller where anything is wider than its page: 182 mm of A4, 287 mm of A3."""
    show(page, width=688, medium="print")
    assert page.execute_script("return document.documentElement.scrollWidth") <= 688
    show(page, width=1084, medium="print")
    shown, millimeters, *_ = page.execute_script(SIZES)
    assert shown == pytest.approx(float(millimeters.removesuffix("mm")) * 96 / 25.4, abs=0.1)
    sheets = page.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True, "printBackground": True})
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", base64.b64decode(sheets["data"]))
    sizes = {tuple(round(float(side) * 25.4 / 72) for side in box) for box in boxes}
    assert sizes == {(210, 297), (297, 420)}


def tamper_with(html: str, svg: str) -> str:
    """The page with that for all its pictures."""
    start = html.index('"pictures":') + len('"pictures":')
    end = html.index("</script>", start)
    packed = base64.b64encode(zlib.compress(svg.encode())).decode()
    return html[:start] + json.dumps({str(at): packed for at in range(N)}) + "}" + html[end:]


@pytest.mark.parametrize(
    "svg",
    [
        '<svg xmlns="http://www.w3.org/2000/svg"><script>document.title="broken"</script></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg" onload="document.title=\'broken\'"/>',
        '<svg xmlns="http://www.w3.org/2000/svg"><foreignObject><p xmlns="http://www.w3.org/1999/xhtml">x</p></foreignObject></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><rect style="fill:url(http://example.org/x)"/></svg>',
        '<svg xmlns="http://www.w3.org/2000/svg"><g><a href="javascript:1"/></g></svg>',
        "<svg><rect></svg>",
        "no picture",
    ],
)
def test_a_picture_that_is_none_of_ours_is_not_shown(browser, html, tmp_path, svg):
    show(browser)
    path = tmp_path / "report.html"
    path.write_text(tamper_with(html, svg), encoding="utf-8")
    open_page(browser, path, ready="#picture p")
    assert text(browser, "#picture").startswith("The picture cannot be shown: it ")
    assert browser.find_elements(By.CSS_SELECTOR, "#picture svg, #picture script") == []
    assert browser.title != "broken"


def test_no_other_script_runs(page):
    page.execute_script(
        "const script = document.createElement('script'); script.textContent = 'document.title = \"broken\"';"
        "document.body.append(script)"
    )
    assert page.title != "broken"
    (entry,) = page.get_log("browser")
    assert "Content Security Policy" in entry["message"]


def test_a_browser_without_the_unpacker_says_so(browser, file):
    show(browser)
    source = {"source": "delete window.DecompressionStream"}
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", source)
    try:
        open_page(browser, file, ready="#picture p")
        assert "too old to unpack pictures" in text(browser, "#picture")
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


def test_many_recordings_make_few_elements(browser, tmp_path, monkeypatch):
    """1,400 recordings, of which few have pictures: only the rows in sight are elements."""
    monkeypatch.setattr("xecgnet_jax.report.page.LIMIT", 1_000_000)
    contents = example(1400, maps=None, signal=noise)
    path = tmp_path / "report.html"
    path.write_text(report_html(contents), encoding="utf-8")
    show(browser)
    open_page(browser, path)
    assert text(browser, "#count").startswith("1,400 of 1,400 recordings, ")
    assert len(browser.find_elements(By.CSS_SELECTOR, "#rows .row")) < 40
    find(browser, "#list").send_keys(Keys.END)
    assert text(browser, "#position") == "1,400 of 1,400"
    assert browser.execute_script(SELECTED)["position"] == "1400"
    assert "No picture of this recording" in text(browser, "#picture")
    find(browser, "#filters [name=pictured]").click()
    with_picture = len(json.loads(text(browser, "#data"))["pictures"])
    assert text(browser, "#count") == f"{with_picture} of 1,400 recordings"
