"""The page at `/`: what it is given, what a browser lets it do, and that it works in one."""

import shutil

import numpy as np
import pytest
import requests
from PIL import Image

import tfgig
from tests import cases
from tests.serving.conftest import eventually, options
from tfgig.serving import Client, LocalServer
from tfgig.serving.devserver.page import Page, address_of

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
DRIVER = shutil.which("chromedriver")


def test_the_page_is_one_file_that_asks_one_server(server):
    answer = requests.get(f"{server.rest_address}/", timeout=30)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert '{"model": "tiny", "server": null' in answer.text
    for elsewhere in ("src=", '<link rel="stylesheet', "@import", "https://"):
        assert elsewhere not in answer.text
    assert requests.post(f"{server.rest_address}/", timeout=30).status_code in (400, 404, 405)


def test_labels_cannot_end_the_element_that_holds_them(tmp_path):
    assets = tmp_path / "1" / "assets.extra"
    assets.mkdir(parents=True)
    (assets / "labels.txt").write_text("</script><script>alert(1)</script>\ncat\n")
    page = Page(tmp_path, "</script>", "http://other:8501/")
    text = page.html().decode()
    assert text.count("</script>") == 2  # its own
    assert "\\u003c/script>\\u003cscript>alert(1)" in text
    assert "connect-src http://other:8501;" in page.headers["Content-Security-Policy"]
    assert b'"labels": null' in Page(tmp_path / "none", "x").html()


@pytest.mark.parametrize(
    "address",
    ["localhost:8501", "ftp://a", "http://", "http://a/v1", "http://a; img-src *", "http://a?b"],
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(ValueError, match=r"look like \"http://localhost:8501\".*Received"):
        address_of(address)


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="pip install selenium")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no Chromium: apt install chromium chromium-driver")
    chosen = webdriver.ChromeOptions()
    chosen.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        chosen.add_argument(argument)
    driver = webdriver.Chrome(options=chosen, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def explained(browser):
    return browser.find_element("id", "status").text.startswith("Explained by")


def test_in_a_browser(browser, server, tmp_path, monkeypatch):
    picture = cases.images(1)[0].astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "photo.png")
    browser.get(f"{server.rest_address}/")
    eventually(lambda: browser.find_elements("css selector", "input[type=file]"))
    browser.find_element("css selector", "input[type=file]").send_keys(str(tmp_path / "photo.png"))
    eventually(lambda: explained(browser))

    captions = [c.text for c in browser.find_elements("tag name", "figcaption")]
    assert [c.splitlines()[0] for c in captions] == ["input", "gradient", "ig"]
    with Client(server.rest_address, model=server.name) as client:
        found = client.explain(picture[np.newaxis].astype(np.float32), "ig")
    assert f"class {found['target'][0]}: score {found['score'][0]:.3g}" in captions[2]
    top = browser.find_elements("css selector", "#top li span:first-child")
    assert top[0].text == f"class {found['target'][0]}"
    assert len(top) == cases.CLASSES

    # With the keyboard alone: another class, colours, opacity.
    shown = "return document.getElementById('maps').textContent"
    browser.find_element("id", "target").send_keys("class 3")
    eventually(lambda: "class 3: score" in browser.execute_script(shown))
    eventually(lambda: explained(browser))
    read = "return document.querySelectorAll('figure canvas')[1].toDataURL()"
    before = browser.execute_script(read)
    browser.find_element("id", "opacity").send_keys("\ue012\ue012")  # arrow left
    assert browser.execute_script(read) != before
    assert browser.find_element("id", "opacity-value").text == "88 %"

    # A screen reader hears what the pictures show, and every control has a name.
    drawn = browser.find_elements("css selector", "figure canvas")
    assert all(c.get_attribute("role") == "img" and c.accessible_name for c in drawn)
    controls = browser.find_elements("css selector", "input, select, button, textarea")
    assert [c.id for c in controls if c.is_displayed() and not c.accessible_name] == []
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []

    # The request as it is copied: it runs, and gives what is shown.
    assert browser.find_element("id", "curl").text.endswith("-d @request.json")
    monkeypatch.chdir(tmp_path)
    *lines, last = browser.find_element("id", "python").text.splitlines()
    names = {}
    exec("\n".join([*lines, f"answer = {last}"]), names)
    names["client"].close()
    assert names["answer"]["target"] == [3]


def test_two_versions_side_by_side(browser, tmp_path):
    """Of the same class, which one of them may not put first."""
    base = tmp_path / "tiny"
    for seed in (1, 2):
        cases.keras.utils.set_random_seed(seed)
        tfgig.export_saved_model(cases.image_model(), base, methods=["gradient", "ig"])
    Image.fromarray(cases.images(1)[0].astype(np.uint8)).save(tmp_path / "photo.png")
    picture = cases.images(1).astype(np.uint8).astype(np.float32)
    with LocalServer(base, options(keep=2)) as server:
        browser.get(f"{server.rest_address}/")
        eventually(lambda: browser.find_elements("css selector", "input[type=file]"))
        file = browser.find_element("css selector", "input[type=file]")
        file.send_keys(str(tmp_path / "photo.png"))
        eventually(lambda: explained(browser))
        browser.find_element("id", "beside").send_keys("1")
        title = "return [...document.querySelectorAll('figcaption')].map(c => c.innerText)"
        eventually(lambda: len(browser.execute_script(title)) == 5 and explained(browser))
        captions = browser.execute_script(title)
        answers = {}
        for version in (2, 1):
            with Client(server.rest_address, model="tiny", version=version) as client:
                target = answers[2]["target"] if answers else -1
                answers[version] = client.explain(picture, "ig", target=target)
    assert [c.splitlines()[0] for c in captions][3:] == ["ig", "ig (version 1)"]
    for caption, answer in zip(captions[3:], answers.values(), strict=True):
        assert f"class {answer['target'][0]}: score {answer['score'][0]:.3g}" in caption


def test_on_a_narrow_screen_nothing_is_cut_off(browser, server):
    metrics = {"width": 360, "height": 700, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(f"{server.rest_address}/")
    eventually(lambda: browser.find_elements("css selector", "input[type=file]"))
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
