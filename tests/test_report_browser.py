"""The report in a real browser: nothing fetched, no error, no sideways scrolling on a phone."""

import base64
import json
import os
import re
import shutil

import pytest

from jaxcorr.errors import plain

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# CI has a browser; were it missing there, these tests would be no proof.
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER) and not os.environ.get("CI"), reason="needs Chromium and its driver"
)


@pytest.fixture(scope="module")
def page(built):
    """The address of the report of the toy run."""
    return built.as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.get("about:blank")
    yield driver
    driver.quit()


def show(browser, page, width, scheme="light"):
    """Opens the page in a window of this width; what was logged before is dropped."""
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(page)


def requests(browser) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [one["request"]["url"] for one in sent]


def test_nothing_is_fetched_and_nothing_complains(browser, page, judged):
    show(browser, page, 1200)
    images = browser.execute_script(
        "return [...document.images].map(i => [i.complete, i.naturalWidth, i.alt])"
    )
    assert len(images) == 9
    assert all(is_complete and width > 100 and alt for is_complete, width, alt in images)
    addresses = requests(browser)
    assert page in addresses
    assert [a[:60] for a in addresses if a != page and not a.startswith("data:")] == []
    assert browser.get_log("browser") == []
    assert browser.title == f"{plain(judged[0].path.name)}: evaluation"
    assert not browser.execute_script("return [...document.images].some(i => i.onerror)")


@pytest.mark.parametrize("width", [360, 1200])
def test_the_page_never_scrolls_sideways(browser, page, width):
    show(browser, page, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    wide = browser.execute_script(
        "return [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') &&"
        " e.getBoundingClientRect().right > window.innerWidth).map(e => e.tagName)"
    )
    assert wide == []


def lightness(browser, element, part):
    """0 for black to 255 for white, of an element's colour."""
    script = f"return getComputedStyle(document.querySelector('{element}')).{part}"
    red, green, blue = browser.execute_script(script).split("(")[1].rstrip(")").split(",")[:3]
    return 0.299 * float(red) + 0.587 * float(green) + 0.114 * float(blue)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_figures_stand_out_in_both_schemes(browser, page, scheme):
    show(browser, page, 800, scheme)
    paper = lightness(browser, "body", "backgroundColor")
    assert (paper > 127) == (scheme == "light")
    for element in ("body", ".verdict .mark", "caption", "dt"):
        assert abs(lightness(browser, element, "color") - paper) > 80
    assert lightness(browser, "figure img", "backgroundColor") > 250


def test_it_prints_on_few_pages(browser, page):
    show(browser, page, 800, "dark")
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
    pages = re.findall(rb"/Type\s*/Page\b", base64.b64decode(printed["data"]))
    assert 3 <= len(pages) <= 9
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert lightness(browser, "body", "backgroundColor") > 250
    assert lightness(browser, "body", "color") < 30
