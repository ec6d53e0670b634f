"""A board of ten thousand rows in headless Chromium, and what a reader can do with it."""

import json
import os
import shutil
import time

import pytest

from results import board, page

pytestmark = pytest.mark.browser
webdriver = pytest.importorskip("selenium.webdriver", reason="needs the extra [browser]")

# Only where the extra is installed: pytest imports this file to deselect it.
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

ROWS = 10_000


@pytest.fixture(scope="module")
def site(tmp_path_factory, fill, rules_text):
    """The pages of a large board."""
    folder = tmp_path_factory.mktemp("large")
    (folder / "rules.toml").write_text(rules_text)
    board.create(folder / "board", folder / "rules.toml")
    fill(folder / "board", ROWS)
    begin = time.perf_counter()
    with page.without_garbage_collection():
        board.write(board.load(folder / "board"), folder / "board", folder / "site")
    print(f"\n{ROWS:,} rows: {time.perf_counter() - begin:.0f} s to build")
    return folder / "site"


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = os.environ.get("CHROMIUM") or shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as driver:
        screen = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        yield driver


@pytest.fixture
def opened(browser, site):
    """The first page, opened anew; afterwards nothing may have gone wrong."""
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get((site / "index.html").as_uri())
    yield browser
    assert browser.get_log("browser") == []


def wait(browser, condition):
    return WebDriverWait(browser, 10, 0.02).until(lambda driver: condition(driver))


def rows(browser):
    return browser.find_elements(By.CSS_SELECTOR, ".board tbody tr")


def test_ten_thousand_rows_are_there_in_less_than_three_seconds(browser, site):
    seconds = []
    for _ in range(3):
        browser.get("about:blank")
        begin = time.perf_counter()
        browser.get((site / "index.html").as_uri())
        wait(
            browser, lambda driver: driver.find_elements(By.CSS_SELECTOR, ".chart svg .mark-symbol")
        )
        seconds.append(time.perf_counter() - begin)
        assert browser.find_element(By.CSS_SELECTOR, "[role=status]").text == f"{ROWS:,} rows"
    size = (site / "index.html").stat().st_size
    print(f"\n{ROWS:,} rows in {size / 1e6:.1f} MB: {max(seconds):.2f} s at most")
    assert max(seconds) < 3


def test_rows_are_drawn_as_one_scrolls_to_the_last(opened):
    assert len(rows(opened)) == 500
    scroller = opened.find_element(By.CSS_SELECTOR, ".board")
    for count in range(1_000, ROWS + 1, 500):
        opened.execute_script("arguments[0].scrollTop = arguments[0].scrollHeight", scroller)
        wait(opened, lambda driver, count=count: len(rows(driver)) >= count)
    ranks = opened.find_elements(By.CSS_SELECTOR, ".board td.rank")
    assert len(ranks) == ROWS
    assert ranks[-1].text == f"{ROWS}"


def test_sorting_and_filtering_take_all_rows_not_those_that_are_drawn(opened):
    box = opened.find_element(By.CSS_SELECTOR, "input[type=search]")
    box.send_keys("net09876")
    assert [row.text.split()[1] for row in rows(opened)] == ["net09876"]
    box.clear()
    box.send_keys("2024-")  # the day that it was accepted
    assert opened.find_element(By.CSS_SELECTOR, "[role=status]").text == "666 of 10,000 rows"
    sort = opened.find_element(By.CSS_SELECTOR, '.board th[data-column="model"] button')
    sort.click()
    assert rows(opened)[0].text.split()[1] == "net09334"


def test_a_row_leads_to_its_page_and_its_marks_to_the_report(opened):
    opened.find_element(By.CSS_SELECTOR, ".board tbody .model a").click()
    name = wait(opened, lambda driver: driver.find_element(By.TAG_NAME, "h2").text)
    assert name.startswith("net0")
    # The style is the file beside it, which the policy lets through.
    accent = opened.execute_script(
        "return getComputedStyle(document.documentElement).getPropertyValue('--accent')"
    )
    assert accent.strip().startswith("#")
    opened.find_element(By.LINK_TEXT, "not checked").click()
    wait(
        opened,
        lambda driver: driver.find_element(By.TAG_NAME, "h2").text.startswith("Audit of bundle"),
    )
    assert opened.current_url.endswith("#run-1")


def test_a_point_of_the_record_leads_to_the_row_that_raised_it(opened):
    held = json.loads(
        opened.execute_script("return document.getElementById('contents').textContent")
    )
    points = [point for point in held["rankings"][0]["record"] if point["name"]]
    symbol = '.chart svg path[aria-roledescription="circle"]'
    dots = wait(opened, lambda driver: driver.find_elements(By.CSS_SELECTOR, symbol))
    assert len(dots) == len(points) == len(held["rankings"][0]["history"])
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", dots[-1])
    webdriver.ActionChains(opened).move_to_element(dots[-1]).perform()
    tooltip = opened.find_element(By.ID, "tooltip")
    wait(opened, lambda driver: tooltip.is_displayed())
    assert tooltip.text.splitlines()[0] == points[-1]["name"]
    webdriver.ActionChains(opened).move_to_element(dots[-1]).click().perform()
    wait(opened, lambda driver: driver.find_element(By.TAG_NAME, "h2").text == points[-1]["name"])


def test_a_phone_never_scrolls_the_page_sideways(opened):
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    desktop = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        opened.refresh()
        wait(
            opened, lambda driver: driver.find_elements(By.CSS_SELECTOR, ".chart svg .mark-symbol")
        )
        addresses = [
            None,
            opened.find_element(By.CSS_SELECTOR, ".board tbody .model a").get_attribute("href"),
            opened.find_element(By.CSS_SELECTOR, ".board td.checked a").get_attribute("href"),
        ]
        for address in addresses:
            if address:
                opened.get(address)
            width = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
            assert opened.execute_script(width) == [390, 390]
    finally:
        opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", desktop)
