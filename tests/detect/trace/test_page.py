"""The page about recipients: what its plot shows of few and of many."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest

from detect.trace.page import MOST_BARS, evidence_plot, write_trace_page
from detect.trace.tracing import Outcome
from detect.trial.judge import detect
from detect.trial.verdict import Verdict
from protect.keys.keyring import Keyring
from tests.support.report_pages import tracing
from tests.support.suspects import FakeSuspect, marked


@pytest.fixture
def like(tmp_path: Path, keyring: Keyring, cache: Path) -> Verdict:
    """A verdict on the suspect that the answers are about."""
    return detect(marked(tmp_path, keyring), FakeSuspect(), keyring, cache)


def spoken(plot: str) -> str:
    found = re.search(r'aria-label="([^"]*)"', plot)
    assert found
    return found[1]


@pytest.mark.parametrize("recipients", [1, MOST_BARS, MOST_BARS + 1])
def test_every_recipient_is_in_the_plot_and_the_named_one_stands_out(like: Verdict, recipients: int) -> None:
    evidence = np.zeros(recipients)
    evidence[-1] = 25.0
    plot = evidence_plot(tracing(like, "named", evidence))
    said = spoken(plot)
    assert f"Evidence of {recipients} recipient(s): the largest E is 7.2e+10" in said
    assert f"a name needs {recipients * 1000:,}; 1 reached it" in said
    assert plot.count("#c2410c") >= 2, "in the plot and in its legend"
    quiet = evidence_plot(tracing(like, "nobody", np.zeros(recipients)))
    assert "0 reached it" in spoken(quiet) and "#c2410c" not in quiet


def test_a_million_recipients_take_seconds_and_little_room(like: Verdict, tmp_path: Path) -> None:
    evidence = np.random.default_rng(0).exponential(1.0, 1_000_000)
    evidence[123_456] = 5_000.0  # more than a number can hold once it is no logarithm
    start = time.process_time()
    write_trace_page(tmp_path / "page.html", tracing(like, "named", evidence), {123_457: "Somebody"})
    assert time.process_time() - start < 20
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(page) < 300_000 and "recipient 123457 (Somebody)" in page and "1e+300" in page


@pytest.mark.parametrize(("outcome", "bar", "plots"), [("nobody", "no", 1), ("inconclusive", "open", 0)])
def test_what_names_nobody_is_in_no_colour_of_evidence(
    like: Verdict, tmp_path: Path, outcome: Outcome, bar: str, plots: int
) -> None:
    """Without a statement no evidence is shown: a reader would take the largest for a name."""
    write_trace_page(tmp_path / "page.html", tracing(like, outcome, np.array([0.0, 30.0])[: 1 + (not plots)]), {})
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert f'<div class="verdict {bar}"><b>{outcome}</b>' in page and page.count("<svg") == plots
