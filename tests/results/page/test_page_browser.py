"""The page in headless Chromium: what a reader can do with it, on a desktop, a phone, and without a mouse."""

import json
import os
import shutil
import time

import cv2
import numpy as np
import pytest

from results import page, records
from results.rankings.rows import summarize
from results.records import files

pytestmark = pytest.mark.browser
webdriver = pytest.importorskip("selenium.webdriver", reason="needs the extra [browser]")

# Only where the extra is installed: pytest imports this file to deselect it.
from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
DESKTOP = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
KEPT = "mobilenet_v1-width=0.5-seed1"  # the run that kept its predictions
EVIL = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


@pytest.fixture(scope="module")
def address(generated, write_with_curves, make_record, tmp_path_factory) -> str:
    """The page of two rankings: 14 models with failures, and one whose texts are markup."""
    folder = tmp_path_factory.mktemp("page")
    write_with_curves(generated(), folder)
    evil = make_record(
        "evil", recipe=f"paper {EVIL}", error=EVIL, command=EVIL, config={EVIL: EVIL}
    )
    records.write(evil, records.record_path(folder, "evil"))
    keep_predictions(folder / "runs" / KEPT / "predictions")
    everything, folders, _ = records.load_with_folders([folder])
    return page.write(summarize(everything), folder, folders).as_uri()


def keep_predictions(folder):
    """Of 40 examples of ten classes, of which those of every fourth index are taken for class 3; two have pictures."""
    index = np.arange(40)
    label = index % 10
    arrays = {"label": label, "predicted": np.where(index % 4, label, 3), "index": index}
    files.write_arrays(folder / "test.npz", arrays | {"confidence": np.linspace(0.5, 1, 40)})
    facts = {"split": "test", "side": 8, "columns": 2, "pictures": [36, 32]}
    (folder / "mistakes.json").write_text(json.dumps(facts))
    pictures = np.concatenate([np.zeros((8, 8), np.uint8), np.full((8, 8), 255, np.uint8)], axis=1)
    (folder / "mistakes.png").write_bytes(cv2.imencode(".png", pictures)[1].tobytes())


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = os.environ.get("CHROMIUM") or shutil.which("chromium") or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as driver:
        yield driver


@pytest.fixture
def opened(browser, address):
    """Returns a function that opens a part of the page; afterwards nothing may have gone wrong."""

    def opened(part="", screen=DESKTOP, scheme="light"):
        browser.get("about:blank")
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        scheme_feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme_feature]})
        for log in ("browser", "performance"):
            browser.get_log(log)
        browser.get(address + part)
        return browser

    yield opened
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    fetched = {request["request"]["url"].partition(":")[0] for request in requests}
    assert fetched == {"file"} or fetched == {"file", "data"}
    assert (
        len(
            {
                r["request"]["url"].partition("#")[0]
                for r in requests
                if "file" in r["request"]["url"][:4]
            }
        )
        == 1
    )


def wait(browser, condition, seconds=10):
    # A chart may be drawn anew while it is looked at.
    waiting = WebDriverWait(browser, seconds, 0.05, [StaleElementReferenceException])
    return waiting.until(lambda driver: condition(driver))


def models_shown(browser) -> list[str]:
    return [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, ".board tbody .model")]


def cells(browser, column) -> list[str]:
    return [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, f".board td.{column}")]


def sorter(browser, column):
    return browser.find_element(By.CSS_SELECTOR, f'.board th[data-column="{column}"] button')


def charts_drawn(browser, count):
    return wait(
        browser,
        lambda driver: (
            len(driver.find_elements(By.CSS_SELECTOR, ".chart svg .mark-symbol")) >= count
            and driver.find_elements(By.CSS_SELECTOR, ".chart svg")
        ),
    )


def dots(browser):
    return browser.find_elements(By.CSS_SELECTOR, '.chart svg path[aria-roledescription="circle"]')


def test_the_table_says_what_the_records_say(opened):
    browser = opened()
    assert browser.title.startswith("digits 1.0.0 (test): 12,000 examples")
    assert len(models_shown(browser)) == 14
    assert cells(browser, "rank")[0] == "1"
    assert " ± " in cells(browser, "top1")[0]
    assert "3 of 3 failed: diverged at steps 40, 41, 42" in cells(browser, "status")[-1]


def test_a_column_s_button_sorts_both_ways_and_keeps_what_was_not_measured_last(opened):
    browser = opened()
    header = browser.find_element(By.CSS_SELECTOR, 'th[data-column="macs"]')
    assert header.get_attribute("aria-sort") is None
    sorter(browser, "macs").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert models_shown(browser)[:2] == ["vgg19", "vgg16"]
    sorter(browser, "macs").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert models_shown(browser)[0] == "mobilenet_v1:width=0.25"
    for order in ("descending", "ascending"):
        sorter(browser, "top1").click()
        top1 = browser.find_element(By.CSS_SELECTOR, 'th[data-column="top1"]')
        assert top1.get_attribute("aria-sort") == order
        assert header.get_attribute("aria-sort") is None
        assert models_shown(browser)[-1] == "resnet152"


def test_the_filter_leaves_the_rows_with_all_its_words_and_the_figures_follow(opened):
    browser = opened()
    charts_drawn(browser, 4)
    wait(browser, lambda driver: len(dots(driver)) == 13 * 4)
    box = browser.find_element(By.CSS_SELECTOR, "input[type=search]")
    box.send_keys("MOBILENET 0.2")
    assert models_shown(browser) == ["mobilenet_v1:width=0.25"]
    assert browser.find_element(By.CSS_SELECTOR, "[role=status]").text == "1 of 14 rows"
    wait(browser, lambda driver: len(dots(driver)) == 4)
    box.send_keys(" nothing")
    assert models_shown(browser) == []
    box.clear()
    box.send_keys("x", Keys.BACKSPACE)
    assert len(models_shown(browser)) == 14


def test_columns_can_be_shown_and_hidden(opened):
    browser = opened()
    assert cells(browser, "nll_nats") == []
    browser.find_element(By.CSS_SELECTOR, ".columns summary").click()
    boxes = {
        label.text: label.find_element(By.TAG_NAME, "input")
        for label in browser.find_elements(By.CSS_SELECTOR, ".columns label")
    }
    boxes["nll nats"].click()
    assert cells(browser, "nll_nats")[0] == "0.1"
    boxes["MACs"].click()
    assert cells(browser, "macs") == []


def test_all_can_be_done_from_the_keyboard(opened):
    browser = opened()
    active = browser.switch_to.active_element
    active.send_keys(Keys.TAB)
    assert browser.switch_to.active_element.text == "Skip to the table"
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "main"

    def tab_to(matches):
        for _ in range(60):
            browser.switch_to.active_element.send_keys(Keys.TAB)
            if matches(browser.switch_to.active_element):
                return browser.switch_to.active_element
        raise AssertionError("the Tab key never came there")

    tab_to(lambda element: element.get_attribute("type") == "search").send_keys("vgg")
    assert models_shown(browser) == ["vgg19", "vgg16"]
    tab_to(lambda element: element.text == "params").send_keys(Keys.SPACE)
    assert models_shown(browser) == ["vgg19", "vgg16"]
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert models_shown(browser) == ["vgg16", "vgg19"]
    tab_to(lambda element: element.text == "vgg16").send_keys(Keys.ENTER)
    wait(browser, lambda driver: driver.switch_to.active_element.text == "vgg16")
    assert browser.switch_to.active_element.tag_name == "h2"
    tab_to(lambda element: element.text == "vgg16-seed1").send_keys(Keys.ENTER)
    wait(browser, lambda driver: driver.switch_to.active_element.text == "vgg16-seed1")


def test_hovering_over_a_point_tells_its_numbers_and_a_click_leads_to_its_runs(opened):
    browser = opened()
    charts_drawn(browser, 4)
    wait(browser, lambda driver: len(dots(driver)) == 13 * 4)
    first = next(dot for dot in dots(browser) if "squeezenet1_1" in dot.get_attribute("aria-label"))
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", first)
    webdriver.ActionChains(browser).move_to_element(first).perform()
    tooltip = browser.find_element(By.ID, "tooltip")
    wait(browser, lambda driver: tooltip.is_displayed())
    name, score, cost = tooltip.text.splitlines()
    assert name == "squeezenet1_1"
    assert score.startswith("top-1 %: 92.")
    assert cost == "parameters: 728k"
    webdriver.ActionChains(browser).move_by_offset(0, 60).perform()
    wait(browser, lambda driver: not tooltip.is_displayed())
    webdriver.ActionChains(browser).move_to_element(first).click().perform()
    wait(browser, lambda driver: driver.find_element(By.TAG_NAME, "h2").text == "squeezenet1_1")


def test_learning_curves_of_the_chosen_metric_are_drawn_over_three_axes(opened):
    browser = opened()
    charts_drawn(browser, 7)
    select = browser.find_element(By.ID, "metric")
    assert [option.text for option in select.find_elements(By.TAG_NAME, "option")] == [
        "training loss",
        "training top-1 %",
        "validation loss",
        "validation top-1 %",
    ]

    def titles(driver):
        groups = driver.find_elements(By.CSS_SELECTOR, "figure .chart svg .role-axis-title text")
        return [element.text for element in groups]

    for over in ("training examples", "training FLOPs", "seconds of training", "training loss"):
        assert over in titles(browser)
    select.send_keys("validation top")
    wait(browser, lambda driver: titles(driver).count("validation top-1 %") == 3)


def test_every_number_leads_to_its_runs_and_each_run_to_its_record(opened):
    browser = opened()
    link = browser.find_element(By.CSS_SELECTOR, ".board tbody tr:nth-child(3) td.top1 a")
    number = link.text
    link.click()
    marked = wait(browser, lambda driver: driver.find_element(By.CSS_SELECTOR, "tr.marked"))
    mean, *alone = [cell.text for cell in marked.find_elements(By.CSS_SELECTOR, "td:not(.doc)")]
    assert mean == number
    assert len(alone) == 3
    assert float(mean.split()[0]) == pytest.approx(sum(map(float, alone)) / 3, abs=0.01)
    name = browser.find_element(By.TAG_NAME, "h2").text
    browser.find_element(By.LINK_TEXT, "seed 1").click()
    wait(browser, lambda driver: driver.find_element(By.TAG_NAME, "h2").text == f"{name}-seed1")
    text = browser.find_element(By.TAG_NAME, "main").text
    for section in ("Command", "Machine", "Software", "Code", "Configuration", "Timings, seconds"):
        assert section in text
    assert "python -m benchmarks.train --config=digits.py" in text
    assert "0" * 40 in text  # the commit
    record = browser.find_element(By.LINK_TEXT, "record.json").get_attribute("href")
    assert record.endswith(f"runs/{name}-seed1/record.json")
    browser.back()
    wait(browser, lambda driver: driver.find_element(By.TAG_NAME, "h2").text == name)


def test_a_run_shows_which_classes_it_mistakes_for_which(opened):
    browser = opened(f"#run={KEPT}")
    section = wait(browser, lambda driver: driver.find_element(By.CSS_SELECTOR, ".confusions"))
    assert "On the test split 30 of 40 examples are right" in section.text
    matrix = section.find_elements(By.CSS_SELECTOR, ".matrix tbody tr")
    cells_of = [[cell.text for cell in row.find_elements(By.TAG_NAME, "td")] for row in matrix]
    assert cells_of[0] == ["2", *["·"] * 2, "2", *["·"] * 6]
    assert cells_of[3] == [*["·"] * 3, "4", *["·"] * 6]
    told = matrix[0].find_elements(By.TAG_NAME, "td")[3].get_attribute("title")
    assert told == "class 0 predicted as class 3: 2 (50.0% of class 0)"
    browser.find_element(By.XPATH, "//summary[text()='The numbers']").send_keys(Keys.ENTER)
    numbers = "[aria-label='Reliability in numbers'] tbody td:first-child"
    counts = [int(cell.text) for cell in section.find_elements(By.CSS_SELECTOR, numbers)]
    assert sum(counts) == 40
    assert len(section.find_elements(By.CSS_SELECTOR, ".reliability svg .bar")) == len(counts)
    first, second, *rest = section.find_elements(By.CSS_SELECTOR, ".tiles li")
    assert first.text.split("\n") == ["class 6 → class 3", "96.2% confident"]
    assert len(rest) == 8
    places = [
        each.find_element(By.CSS_SELECTOR, "[role=img]").value_of_css_property(
            "background-position-x"
        )
        for each in (first, second)
    ]
    assert places == ["0%", "100%"]
    assert not rest[0].find_elements(By.CSS_SELECTOR, "[role=img]")


def test_a_failed_run_says_what_happened(opened):
    browser = opened("#run=resnet152-seed2")
    text = browser.find_element(By.TAG_NAME, "main").text
    assert "diverged, seed 2" in text
    assert "The loss is NaN at step 40." in text


def test_markup_in_a_record_is_shown_as_text(opened):
    browser = opened("#run=evil")
    text = browser.find_element(By.TAG_NAME, "main").text
    assert text.count(EVIL) >= 4
    assert browser.find_elements(By.TAG_NAME, "img") == []
    choice = browser.find_element(By.ID, "ranking")
    assert EVIL in choice.text


def test_the_rankings_can_be_chosen_between(opened):
    browser = opened()
    choice = browser.find_element(By.ID, "ranking")
    options = choice.find_elements(By.TAG_NAME, "option")
    # The heading of either names the field in which they differ, whose name is markup, too.
    other = next(option for option in options if f"paper {EVIL}" in option.text)
    other.click()
    wait(browser, lambda driver: models_shown(driver) == ["resnet18"])


@pytest.mark.parametrize("part", ["", "#row-0-0", f"#run={KEPT}", "#run=evil"])
def test_a_phone_never_scrolls_the_page_sideways(opened, part):
    browser = opened(part, PHONE)
    if not part:
        charts_drawn(browser, 7)
    wide = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide[0] == wide[1] == 390
    for chart in browser.find_elements(By.CSS_SELECTOR, ".chart svg"):
        assert chart.rect["x"] + chart.rect["width"] <= 390


def luminance(color: str) -> float:
    """Relative luminance of `rgb(r, g, b)`, WCAG 2.2."""
    channels = [int(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_of_page_and_charts_have_contrast_in_light_and_dark(opened, scheme):
    browser = opened(scheme=scheme)
    charts_drawn(browser, 7)
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (luminance(paper) < 0.1) == (scheme == "dark")
    colors = browser.execute_script(
        """const all = [...document.querySelectorAll("h1, h2, p, li, td, th, a, button, label, summary")];
        const texts = [...document.querySelectorAll(".chart svg text")].filter(
          (text) => !text.hasAttribute("stroke")); // not the halos behind labels
        return [all.map((each) => getComputedStyle(each).color),
                texts.map((each) => getComputedStyle(each).fill)].flat();"""
    )
    assert len(colors) > 300
    for color in set(colors):
        lighter, darker = sorted([luminance(color), luminance(paper)], reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5, color


def test_charts_change_with_the_color_scheme(opened):
    browser = opened()
    charts_drawn(browser, 4)

    def title_color(driver):
        titles = driver.find_elements(By.CSS_SELECTOR, ".chart svg .role-axis-title text")
        return titles and titles[0].get_attribute("fill")

    before = title_color(browser)
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    wait(browser, lambda driver: title_color(driver) not in (None, [], before))


def test_leaving_and_coming_back_keeps_filter_and_order(opened):
    browser = opened()
    browser.find_element(By.CSS_SELECTOR, "input[type=search]").send_keys("mobile")
    sorter(browser, "parameters").click()
    before = models_shown(browser)
    browser.find_element(By.CSS_SELECTOR, ".board tbody a").click()
    wait(browser, lambda driver: not models_shown(driver))
    browser.back()
    wait(browser, lambda driver: models_shown(driver) == before)
    time.sleep(0.2)  # the charts are drawn after the table: nothing may go wrong then
