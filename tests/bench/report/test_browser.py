"""The page in a real browser: sorted, filtered, copied, by keyboard, dark, on a phone and on paper, offline."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BROWSER = shutil.which("chromium")
if BROWSER is None:
    pytest.skip("chromium is not installed", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api")

OFFLINE = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WIDE, PHONE, SHEET = (1400, 900), (390, 844), (1032, 700)
RESULTS = "#results table"
# Least contrast of text, WCAG AA.
CONTRAST = 4.5
LOWEST_CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const channels = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = channels(colour).map((c) => linear(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (item) => {
    for (; item; item = item.parentElement) {
      const colour = getComputedStyle(item).backgroundColor;
      if (channels(colour)[3] === 255) return colour;
    }
    return "white";
  };
  const written = (item) => [...item.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  const texts = [...document.querySelectorAll("body *")].filter(written);
  const contrast = (item) => {
    const [a, b] = [light(getComputedStyle(item).color), light(ground(item))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), item.outerHTML.slice(0, 80)];
  };
  return texts.filter((item) => item.checkVisibility()).map(contrast).sort((x, y) => x[0] - y[0])[0];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=OFFLINE)
        yield opened
        opened.close()


class Reader:
    """Opens the page, and keeps what a browser complains of and asks the network for."""

    def __init__(self, browser: Any, page: Path) -> None:
        self.browser, self.address = browser, page.as_uri()
        self.complaints: list[str] = []
        self.requests: list[str] = []

    def open(self, size: tuple[int, int] = WIDE, *, part: str = "", **options: Any) -> Any:
        context = self.browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        context.set_default_timeout(20_000)
        tab = context.new_page()
        tab.on("console", lambda message: self.complaints.append(message.text))
        tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        tab.on("request", lambda request: self.requests.append(request.url))
        tab.goto(self.address + part)
        return tab


@pytest.fixture
def reader(browser: Any, page: Path) -> Iterator[Reader]:
    made = Reader(browser, page)
    yield made
    for context in browser.contexts:
        context.close()
    assert made.complaints == []
    assert [url for url in made.requests if not url.startswith(("file:", "data:"))] == []


def column(tab: Any, name: str, table: str = RESULTS) -> list[str]:
    """The visible cells of a column, in the order shown."""
    cells: list[str] = tab.eval_on_selector(
        table,
        """(table, name) => {
          const place = [...table.tHead.rows[0].cells].findIndex((head) => head.dataset.column === name);
          return [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.cells[place].textContent);
        }""",
        name,
    )
    return cells


def overflow(tab: Any) -> int:
    """Pixels by which the page is wider than its window."""
    return int(tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_a_head_sorts_by_value_up_down_and_back(reader: Reader) -> None:
    tab = reader.open()
    before = column(tab, "step_milliseconds")
    head = tab.locator(f"{RESULTS} th[data-column=step_milliseconds]")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    means = [text.partition(" ")[0] for text in column(tab, "step_milliseconds")]
    assert means == ["8", "8", "8", "8", "8", "10", "11.7", "–"]
    head.get_by_role("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert column(tab, "step_milliseconds")[0] == "11.7 ± 7.6"
    assert column(tab, "step_milliseconds")[-1] == "–"
    head.get_by_role("button").press("Space")
    assert head.get_attribute("aria-sort") is None
    assert column(tab, "step_milliseconds") == before


def test_ratios_and_several_values_sort_by_number(reader: Reader) -> None:
    given = ["×10.5", "×9.87 [9, 11] pays", "×1.23e-4; ×0.2", "+0.30; −0.20", "−0.50", "1,200"]
    by_value = reader.open().evaluate("(texts) => texts.sort(compare)", given)
    assert by_value == ["−0.50", "×1.23e-4; ×0.2", "+0.30; −0.20", "×9.87 [9, 11] pays", "×10.5", "1,200"]


def test_filters_hold_for_every_table_and_figure(reader: Reader) -> None:
    tab = reader.open()
    tab.locator("#task").select_option("adding problem, T = 10")
    tab.locator("#cell").select_option("Skip LSTM")
    tab.locator("#framework").select_option("TensorFlow")
    assert set(column(tab, "task")) == {"adding problem, T = 10"}
    assert (set(column(tab, "cell")), set(column(tab, "framework"))) == ({"Skip LSTM"}, {"TensorFlow"})
    assert set(column(tab, "configuration", "#provenance table")) == {"Skip LSTM, λ = 0.01"}
    shown = tab.locator("figure:visible img").evaluate_all("images => images.map((image) => image.alt)")
    assert shown
    assert all("adding problem" in text for text in shown)
    assert "match" in tab.get_by_role("status").text_content()
    tab.get_by_role("button", name="Show all").click()
    # Rows are shown again behind the reset of the form.
    sync_api.expect(tab.locator(f"{RESULTS} tbody tr[hidden]")).to_have_count(0)
    assert set(column(tab, "cell")) == {"LSTM", "Skip LSTM", "Skip GRU"}


def test_a_search_finds_all_its_words(reader: Reader) -> None:
    tab = reader.open()
    tab.get_by_label("Search").fill("skip tensorflow DIGITS")
    assert column(tab, "cell") == ["Skip GRU"]
    tab.get_by_label("Search").fill("<none>")
    assert column(tab, "cell") == []
    assert tab.get_by_role("status").text_content() == "0 rows and 0 figures of the page match."


def test_columns_are_hidden_and_what_is_shown_is_copied(reader: Reader) -> None:
    tab = reader.open(permissions=["clipboard-read", "clipboard-write"])
    tools = tab.locator("#results .tools")
    tools.get_by_text("Columns", exact=True).click()
    for name in tools.locator("label").all_text_contents():
        if name.strip() not in ("cell", "quality", "framework"):
            tools.get_by_label(name.strip(), exact=True).uncheck()
    tab.get_by_label("Search").fill("skip lstm")
    tools.get_by_role("button", name="Copy as CSV").click()
    sync_api.expect(tab.get_by_role("status")).to_have_text("Copied 2 rows as CSV.")
    assert tab.evaluate("navigator.clipboard.readText()").splitlines() == [
        "cell,framework,quality",
        "Skip LSTM,PyTorch,0.20 ± 0.10",
        "Skip LSTM,TensorFlow,0.21 ± 0.11",
    ]
    tools.get_by_role("button", name="Copy as Markdown").click()
    sync_api.expect(tab.get_by_role("status")).to_have_text("Copied 2 rows as Markdown.")
    assert tab.evaluate("navigator.clipboard.readText()").splitlines()[:2] == [
        "| cell | framework | quality |",
        "| --- | --- | --- |",
    ]


def test_the_address_of_a_folded_row_unfolds_it(reader: Reader) -> None:
    tab = reader.open()
    row = tab.locator("#provenance tbody tr").last.get_attribute("id")
    led = reader.open(part=f"#{row}")
    assert led.locator(f"#{row}").is_visible()
    led.get_by_label("Search").fill("nothing of the kind")
    led.evaluate(f"location.hash = ''; location.hash = '{row}'")
    sync_api.expect(led.locator(f"#{row}")).to_be_visible()


def test_the_keyboard_reaches_all_controls_in_order(reader: Reader) -> None:
    tab = reader.open()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the report"
    stops = []
    for _ in range(80):
        tab.keyboard.press("Tab")
        stops.append(tab.evaluate("(({id, className, tagName}) => id || className || tagName)(document.activeElement)"))
        outline = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", stops[-1]
    fields = ["search", "task", "cell", "framework"]
    assert [stop for stop in stops if stop in fields] == fields
    assert stops.index("framework") < stops.index("scroll")
    assert stops.index("row") > stops.index("scroll")


def test_links_of_rows_are_one_stop_and_arrows_move(reader: Reader) -> None:
    tab = reader.open()
    links = tab.locator(f"{RESULTS} a.row")
    assert links.evaluate_all("links => links.filter((link) => link.tabIndex === 0).length") == 1
    links.first.focus()
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate("document.activeElement.hash.slice(1) === document.activeElement.closest('tr').id")
    assert links.nth(1).evaluate("link => link === document.activeElement && link.tabIndex === 0")
    tab.keyboard.press("End")
    assert links.last.evaluate("link => link === document.activeElement")


def test_a_row_of_results_leads_to_its_trials(reader: Reader) -> None:
    tab = reader.open()
    rows = tab.locator(f"{RESULTS} tbody tr")
    for number in (1, 3):
        row = rows.nth(number)
        wanted = row.get_attribute("data-trials")
        assert wanted
        row.hover()
        row.get_by_role("button", name="The trials of this row").click()
        shown = tab.locator("#provenance tbody tr:visible td:first-child").all_inner_texts()
        assert sorted(shown) == sorted(wanted.split())
        assert f"{len(shown)} trial" in tab.locator("form .status").inner_text()
    tab.get_by_role("button", name="Show all").click()
    every = tab.locator("#provenance tbody tr").count()
    sync_api.expect(tab.locator("#provenance tbody tr:visible")).to_have_count(every)


def test_the_trials_of_a_row_are_had_by_keyboard(reader: Reader) -> None:
    tab = reader.open()
    tab.locator(f"{RESULTS} a.row").first.focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.closest('section').id") == "provenance"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_colours(reader: Reader, scheme: str) -> None:
    other = {"light": "dark", "dark": "light"}[scheme]
    by_system, by_choice = reader.open(color_scheme=scheme), reader.open(color_scheme=other)
    by_choice.get_by_label("Colours").select_option(scheme)
    grounds = [tab.evaluate("getComputedStyle(document.body).backgroundColor") for tab in (by_system, by_choice)]
    assert grounds == [{"light": "rgb(255, 255, 255)", "dark": "rgb(22, 24, 28)"}[scheme]] * 2
    by_system.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    lowest, where = by_system.evaluate(LOWEST_CONTRAST)
    assert lowest >= CONTRAST, where


def test_a_phone_scrolls_tables_not_the_page(reader: Reader) -> None:
    tab = reader.open(PHONE, is_mobile=True, has_touch=True)
    tab.evaluate("for (const fold of document.querySelectorAll('section details')) fold.open = true")
    assert overflow(tab) <= 0
    assert tab.locator("#results .scroll").evaluate("box => box.scrollWidth > box.clientWidth")


def test_paper_has_everything_and_no_controls(reader: Reader) -> None:
    tab = reader.open(SHEET, color_scheme="dark")
    tab.emulate_media(media="print", color_scheme="dark")
    assert not tab.locator("aside").is_visible()
    assert not tab.locator(".tools").first.is_visible()
    assert tab.locator("#provenance td").first.is_visible()
    assert tab.locator("pre").first.is_visible()
    assert tab.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert (
        tab.locator("table").evaluate_all(
            "tables => tables.filter((table) => table.getBoundingClientRect().right > innerWidth + 1).length"
        )
        == 0
    )
    assert overflow(tab) <= 0


def test_it_reads_the_same_without_a_script(reader: Reader) -> None:
    tab = reader.open(java_script_enabled=False)
    assert not tab.locator("form").is_visible()
    assert tab.locator("#results tbody tr").count() == 8
    assert tab.locator("figure img").first.is_visible()


def test_no_motion_where_none_is_wanted(reader: Reader) -> None:
    tab = reader.open(reduced_motion="reduce")
    assert tab.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
