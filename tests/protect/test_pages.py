"""The one place where pages are made."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

from protect.errors import InputError
from protect.pages import render_page, write_page


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "some_package_with_pages"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "page.html.j2").write_text("<ul>\n  {% for row in rows %}\n  <li>{{ row }}</li>\n  {% endfor %}\n</ul>\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder.name


def test_everything_is_escaped_and_blocks_leave_no_lines(package: str) -> None:
    assert render_page(package, "page.html.j2", rows=["a<b", "c"]) == "<ul>\n  <li>a&lt;b</li>\n  <li>c</li>\n</ul>"


def test_a_word_that_a_template_lacks_is_an_error_and_no_blank(package: str) -> None:
    with pytest.raises(jinja2.UndefinedError):
        render_page(package, "page.html.j2")


def test_pages_are_written_whole_with_their_permissions(package: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_page(path, package, "page.html.j2", mode=0o600, rows=["é"])
    assert "é" in path.read_text(encoding="utf-8") and path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InputError, match="cannot write"):
        write_page(tmp_path / "nowhere" / "page.html", package, "page.html.j2", rows=[])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["page.html", package]
