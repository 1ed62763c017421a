"""Authorities are made once: their keys take a while."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.authorities import Authority, make_authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs by elliptic curves."""
    return make_authority(tmp_path_factory.mktemp("authority") / "ec")


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs by RSA, and puts two certificates into its replies in the wrong order."""
    return make_authority(tmp_path_factory.mktemp("authority") / "rsa", "Other", "rsa", certificates=2)


@pytest.fixture(scope="session")
def roots(authority: Authority) -> Path:
    return authority.root
