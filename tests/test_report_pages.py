"""Every page as its readers meet it: on small and large screens, in the dark, on paper, without scripts, by ear."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.support.browser import Page, browser_page, find_browser
from tests.support.report_pages import write_pages

KINDS = (
    *("evidence", "no-evidence", "inconclusive", "rehearsal-lost", "rehearsal-found", "classifier"),
    *("check", "choice", "show", "publish", "ask", "attacks", "passive"),
    *("survey", "trace-many", "trace-few", "trace-nobody", "trace-inconclusive", "certify"),
)
SCRIPTED = {"choice", "ask"}
"""Pages that have scripts."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of every kind."""
    found = write_pages(tmp_path_factory.mktemp("pages"))
    assert set(found) == set(KINDS)
    return found


class Outline(HTMLParser):
    """What a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.ends: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.ends.append(tag)


@pytest.mark.parametrize("kind", KINDS)
def test_pages_are_whole_named_and_need_nothing_else(pages: dict[str, Path], kind: str) -> None:
    """What can be told without a browser."""
    text = pages[kind].read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(text)
    tags = outline.tags
    assert text.startswith("<!doctype html>") and ("html", {"lang": "en"}) in tags
    names = [tag for tag, _ in tags]
    assert names.count("h1") == names.count("title") == names.count("main") == 1
    for tag in ("div", "figure", "table", "ul", "dl", "section", "details", "article", "style", "main", "p"):
        assert names.count(tag) == outline.ends.count(tag), f"<{tag}> is not closed as often as opened"
    assert all(given.get("alt") for tag, given in tags if tag == "img")
    assert all(given.get("aria-label") for tag, given in tags if tag == "svg")
    assert all(given.get("scope") for tag, given in tags if tag == "th"), "a header of what?"
    links = [given[name] for _, given in tags for name in ("src", "href") if given.get(name)]
    assert all(str(link).startswith(("data:", "#")) for link in links)
    assert not re.search(r"@import|url\((?!#|data:)", re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL))
    assert ("script" in names) == (kind in SCRIPTED)
    assert "prefers-color-scheme: dark" in text and "@media print" in text


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser's page."""
    program = find_browser()
    if program is None:
        pytest.skip("no browser on this machine")
    with browser_page(program, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


CONTRAST = """(() => {
  const light = c => { const v = c.match(/[\\d.]+/g).slice(0, 3).map(x => x / 255).map(
    x => x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4); return .2126 * v[0] + .7152 * v[1] + .0722 * v[2]; };
  const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
    if (!/rgba\\(.*, 0\\)/.test(c)) return c; } return "rgb(255, 255, 255)"; };
  const poor = [];
  for (const e of document.querySelectorAll("main *")) {
    if (e.closest("svg, script, style, noscript, button, input") || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const a = light(getComputedStyle(e).color), b = light(ground(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) poor.push(e.tagName + " " + ratio.toFixed(2) + " " + e.textContent.slice(0, 40));
  }
  return poor;
})()"""  # noqa: E501
"""Texts whose contrast with their ground is below what WCAG asks for."""


def test_pages_in_a_browser(pages: dict[str, Path], page: Page) -> None:
    """One test for all kinds: starting the browser takes longer than the pages do."""
    for kind in KINDS:
        for width in (400, 1600):
            page.open(pages[kind], width, dark=width == 400)
            assert page.complaints() == [], kind
            assert page.requests() == [], kind
            assert page.value("document.documentElement.scrollWidth") <= width, f"{kind} is wider than {width}"
            assert page.value(CONTRAST) == [], f"{kind} at {width}"
        assert page.nameless() == [], kind
        assert page.value("getComputedStyle(document.body).fontSize") == "16px"


def test_pages_without_scripts_and_on_paper(pages: dict[str, Path], page: Page) -> None:
    for kind in ("ask", "choice", "evidence"):
        page.open(pages[kind], 400, scripts=False)
        text = page.value("document.body.innerText")
        assert "undefined" not in text and "Save refused.csv" not in text, "a button that does nothing"
        assert "let your browser run scripts" in text or kind != "choice"
        assert page.value("getComputedStyle(document.querySelector('#pair')).display") == "none" or kind != "choice"
        if kind == "evidence":
            assert page.pdf().startswith(b"%PDF-")


def test_a_rehearsal_that_found_nothing_is_told_in_words_and_colour(pages: dict[str, Path], page: Page) -> None:
    colours = {}
    for kind in ("rehearsal-lost", "rehearsal-found", "no-evidence"):
        page.open(pages[kind], 1600)
        colours[kind] = page.value("getComputedStyle(document.querySelector('.verdict')).borderLeftColor")
        colours[kind + " words"] = page.value("document.querySelector('.verdict > b').innerText")
    assert colours["rehearsal-lost words"] == "no measurable effect"
    assert colours["rehearsal-lost"] == "rgb(180, 35, 24)" and colours["rehearsal-found"] == "rgb(31, 111, 74)"


def test_pairs_can_be_judged_by_key_to_the_end(pages: dict[str, Path], page: Page) -> None:
    page.open(pages["choice"], 1600)
    for _ in range(2):
        page.value("document.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft'}))")
    text = page.value("document.body.innerText")
    assert "Done." in text and "of 2" in text and page.value("document.querySelector('#pair').offsetHeight") == 0
    assert page.complaints() == []
