"""Asking a timestamp authority: whatever it does, the answer comes in bounded time or not at all."""

from __future__ import annotations

import socket
import time

import pytest

from protect.errors import InputError
from protect.keys import authority as asking
from protect.keys.authority import ask, check_address
from protect.keys.timestamp import check_reply, read_certificates, request_for
from tests.support.authorities import Authority, serve


def test_a_reply_comes_back_as_it_was_sent(authority: Authority) -> None:
    request = request_for(b"data")
    with serve(authority) as served:
        reply = ask(served.address, request.body)
    assert served.asked == [request.body]
    check_reply(reply, b"data", read_certificates(authority.root.read_bytes(), "root"), nonce=request.nonce)


@pytest.mark.parametrize("hang", [0.05, 60.0])
def test_a_server_that_hangs_or_trickles_is_given_up(hang: float) -> None:
    start = time.monotonic()
    with (
        serve(None, body=bytes(1000), hang=hang) as served,
        pytest.raises(InputError, match=r"did not answer within 0\.5 seconds"),
    ):
        ask(served.address, b"?", seconds=0.5)
    assert time.monotonic() - start < 10


def test_a_server_that_never_accepts_is_given_up() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = f"http://127.0.0.1:{full.getsockname()[1]}/"
        with pytest.raises(InputError, match="did not answer within"):
            ask(address, b"?", seconds=0.3)


def test_answers_that_are_no_replies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "LARGEST", 100)
    cases = (
        ({"body": b"<html>", "kind": "text/html"}, "answered with 6 bytes of text/html, no timestamp"),
        ({"body": bytes(101)}, "answered with more than 100 bytes"),
        ({"body": b"", "status": 500}, "answered 500"),
        ({"body": b"", "status": 302, "headers": {"Location": "https://there/"}}, "answered 302"),
    )
    for given, message in cases:
        with serve(None, **given) as served, pytest.raises(InputError, match=message) as refusal:  # type: ignore[arg-type]
            ask(served.address, b"?")
        assert str(refusal.value).count("\n") == 1
    assert "https://there/" in refusal.value.advice


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match="cannot ask"):
        ask(f"http://127.0.0.1:{port}/", b"?")


@pytest.mark.parametrize(
    "address", ["", "tsa.example", "ftp://tsa.example", "file:///etc/passwd", "http://", "http:///x"]
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(InputError, match="not the address of a timestamp authority"):
        check_address(address)
