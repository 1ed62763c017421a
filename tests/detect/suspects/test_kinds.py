"""The table of kinds of suspects: every one is opened exactly or refused truly, none in part."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import suspect_kinds


def test_there_are_many_kinds_and_each_has_a_name_of_its_own() -> None:
    kinds = [case.kind for case in suspect_kinds.all_cases()]
    assert len(kinds) >= 120 and len(set(kinds)) == len(kinds)


@pytest.mark.slow
def test_every_kind_is_opened_exactly_or_refused_truly(tmp_path: Path) -> None:
    found = suspect_kinds.measure(tmp_path)
    assert [row for row in found["rows"] if row["got"] != row["aim"]] == []
    assert found["opened_exactly"] >= 50 and found["refused_truly"] >= 70 and found["largest_error"] < 1e-6
