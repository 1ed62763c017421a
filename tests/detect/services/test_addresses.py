"""Addresses and keys: what is refused before a byte is sent, and that a key never shows itself."""

from __future__ import annotations

import base64

import pytest

from detect.suspects.address import (
    KEY_VARIABLE,
    Secret,
    check_address,
    is_loopback,
    key_from_environment,
    origin,
)
from detect.suspects.images.services import load_service
from protect.errors import InputError

KEY = "sk-proj-abcdefghijklmnop1234"


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("localhost:7860", "has no scheme"),
        ("api.example.org/v1/images/generations", "has no scheme"),
        ("ftp://example.org/v1", "no web service"),
        ("file:///etc/passwd", "no web service"),
        ("https://", "no web service"),
        ("https://example.org:99999/v1", "a port that cannot be"),
        (f"https://user:{KEY}@example.org/v1", "a user name or a password"),
        (f"https://{KEY}@example.org/v1", "a user name or a password"),
        (f"https://example.org/v1?api_key={KEY}", "a parameter 'api_key'"),
        ("https://example.org/v1?KEY=x", "a parameter 'KEY'"),
        (f"https://example.org/{KEY}/v1/images/generations", "looks like a key"),
        (f"https://example.org/v1?api-version={KEY}", "looks like a key"),
        (f"https://example.org/v1#{KEY}", "looks like a key"),
    ],
)
def test_what_cannot_be_an_address_is_refused_and_no_key_repeated(address: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as refusal:
        check_address(address)
    assert KEY not in str(refusal.value) and len(str(refusal.value).splitlines()) == 2
    if "key" in why or "password" in why or "parameter" in why:
        assert KEY_VARIABLE in refusal.value.advice


def test_addresses_that_are_fine() -> None:
    assert check_address("https://example.org/v1/") == "https://example.org/v1"
    azure = "https://a.example.org/openai/deployments/x/images/generations?api-version=2025-04-01"
    assert check_address(azure) == azure
    assert origin("https://example.org/v1") == ("https", "example.org", 443)
    assert is_loopback("http://127.0.0.1:1/a") and is_loopback("http://[::1]:1") and is_loopback("http://localhost")
    assert not is_loopback("http://192.168.1.5:7860") and not is_loopback("http://localhost.example.org")


def test_a_key_goes_through_no_network_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert key_from_environment("http://192.168.1.5:7860") is None
    monkeypatch.setenv(KEY_VARIABLE, f" {KEY}\n")
    with pytest.raises(InputError, match="in the clear") as refusal:
        key_from_environment("http://192.168.1.5:7860")
    assert KEY not in str(refusal.value)
    for address in ("https://example.org", "http://127.0.0.1:7860"):
        assert key_from_environment(address) == Secret(KEY)
    monkeypatch.setenv(KEY_VARIABLE, f"{KEY}\nX-Other: 1")
    with pytest.raises(InputError, match="no key has") as refusal:
        key_from_environment("https://example.org")
    assert KEY not in str(refusal.value)


def test_a_key_never_shows_itself() -> None:
    key = Secret(f"owner:{KEY}")
    encoded = base64.b64encode(f"owner:{KEY}".encode()).decode()
    assert key.header(basic=True) == f"Basic {encoded}" and key.header(basic=False) == f"Bearer owner:{KEY}"
    assert KEY not in f"{key!r} {key} {[key]}"
    said = key.hidden(f"no such key {KEY}, nor {encoded}, nor owner%3A{KEY}; a: b")
    assert KEY not in said and encoded not in said and said.endswith("; a: b")
    assert Secret("a:b").hidden("a cab") == "a cab", "what is too short to be a secret is left"


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("https://a.org/v1/images/generations", "openai"),
        ("https://a.org/openai/deployments/x/images/generations", "openai"),
        ("http://127.0.0.1:7860/sdapi/v1/txt2img", "a1111"),
        ("http://127.0.0.1:7860/sdapi/v1/", "a1111"),
    ],
)
def test_a_service_is_guessed_where_its_path_tells(address: str, kind: str) -> None:
    assert load_service(address).kind == kind


def test_a_service_is_not_guessed_from_a_port() -> None:
    with pytest.raises(InputError, match=r"not known what kind .*\n.*--service openai\|a1111\|comfyui"):
        load_service("http://127.0.0.1:7860")
