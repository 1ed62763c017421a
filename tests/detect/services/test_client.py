"""The HTTP client against servers that misbehave: it tries again, waits, stops, and keeps the key to itself."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import ThreadingHTTPServer
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from detect.suspects.address import KEY_VARIABLE, Secret
from detect.suspects.client import Client
from detect.suspects.reply import Limits, PassingTrouble, Reply
from protect.errors import SuspectError
from tests.support.services import (
    Handler,
    Loopback,
    Trick,
    drip,
    half,
    hang,
    hang_up,
    huge,
    redirect,
    rubbish,
    says,
    serving,
    status,
)

_SELF_SIGNED = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
)
KEY = "sk-proj-abcdefghijklmnop1234"


@pytest.fixture
def service() -> Iterator[Loopback]:
    with serving(Loopback(always=says({"fine": True}))) as running:
        yield running


def fields(client: Client) -> Callable[[Reply], dict[str, Any]]:
    return lambda reply: client.expect_success(reply).fields()


def misbehaving(service: Loopback, *tricks: Trick) -> None:
    """These on one request each, then a good answer."""
    service.tricks, rest = deque(tricks), service.always
    service.always = None
    service.tricks.extend([rest] * 5 if rest else [])


@pytest.mark.parametrize("trick", [status(429), status(500), status(503), rubbish, half, hang_up, says([1])])
def test_what_passes_is_tried_again(service: Loopback, trick: Trick) -> None:
    pauses: list[float] = []
    said: list[str] = []
    misbehaving(service, trick, trick)
    client = Client(service.url, sleep=pauses.append, say=said.append)
    assert client.post_json(f"{service.url}/a", {"x": 1}, fields(client)) == {"fine": True}
    assert pauses == [0.5, 1.0] and len(said) == 2 and all("trying again" in line for line in said)
    assert client.tally.requests == 3 and client.tally.retries == 2
    assert service.bodies() == [{"x": 1}] * 3


def test_it_waits_as_long_as_it_is_told_to(service: Loopback) -> None:
    pauses: list[float] = []
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    misbehaving(
        service,
        status(429, Retry_After="7"),
        status(503, Retry_After=later),
        status(429, Retry_After="0"),
        status(429, Retry_After="soon"),
    )
    client = Client(service.url, sleep=pauses.append)
    assert client.get(f"{service.url}/a", fields(client)) == {"fine": True}
    assert pauses[0] == 7 and 50 < pauses[1] <= 60 and pauses[2:] == [0.5, 4.0]


def test_it_really_waits(service: Loopback) -> None:
    misbehaving(service, status(429, Retry_After="1"))
    started, client = time.monotonic(), Client(service.url)
    client.get(f"{service.url}/a", fields(client))
    assert 1 <= time.monotonic() - started < 15


def test_it_does_not_wait_for_hours(service: Loopback) -> None:
    misbehaving(service, status(429, {"error": "quota"}, Retry_After="7200"))
    client = Client(service.url, sleep=lambda pause: pytest.fail("slept"))
    with pytest.raises(SuspectError, match=r"come back in 7,200 seconds .*quota.*\n.*answers so far are kept"):
        client.get(f"{service.url}/a", fields(client))
    assert client.tally.requests == 1


def test_it_gives_up_in_the_end(service: Loopback) -> None:
    misbehaving(service, *[status(500, {"error": "CUDA out of memory"})] * 9)
    client = Client(service.url, limits=Limits(attempts=3), sleep=lambda pause: None)
    with pytest.raises(SuspectError, match=r"after 3 tries \(status 500: .*CUDA out of memory"):
        client.get(f"{service.url}/a", fields(client))
    assert client.tally.requests == 3


def test_a_refusal_is_not_tried_again(service: Loopback) -> None:
    service.always = status(404, {"detail": "Not Found"})
    client = Client(service.url)
    with pytest.raises(SuspectError, match=r"status 404: .*Not Found"):
        client.get(f"{service.url}/a", fields(client))
    assert client.tally.requests == 1


@pytest.mark.parametrize("trick", [hang, drip])
def test_a_server_that_hangs_is_left(service: Loopback, trick: Trick) -> None:
    service.always = trick
    client = Client(service.url, limits=Limits(timeout=0.4, attempts=2), sleep=lambda pause: None)
    started = time.monotonic()
    with pytest.raises(SuspectError, match=r"does not answer after 2 tries \((silent for|not done after) 0.4 s"):
        client.get(f"{service.url}/a", fields(client))
    assert time.monotonic() - started < 15


def test_a_gigabyte_is_cut_off(service: Loopback) -> None:
    service.always = huge
    client = Client(service.url, limits=Limits(bytes=4 << 20))
    started = time.monotonic()
    with pytest.raises(SuspectError, match="more than 4 MiB"):
        client.get(f"{service.url}/a", fields(client))
    assert time.monotonic() - started < 15 and client.tally.requests == 1


def test_a_gigabyte_is_not_even_begun_where_it_is_announced(service: Loopback) -> None:
    def announced(handler: Handler) -> bool:
        handler.send_response(200)
        handler.send_header("Content-Length", str(1 << 30))
        handler.end_headers()
        handler.close_connection = True
        return True

    service.always = announced
    client = Client(service.url)
    with pytest.raises(SuspectError, match="more than 64 MiB"):
        client.get(f"{service.url}/a", fields(client))


def test_nobody_is_followed_to_another_host(service: Loopback) -> None:
    with serving(Loopback()) as elsewhere:
        service.always = redirect(f"{elsewhere.url}/a?signature=secret")
        client = Client(service.url, Secret(KEY))
        with pytest.raises(SuspectError, match=f"redirects to {elsewhere.url}") as refusal:
            client.get(f"{service.url}/a", fields(client))
        assert "signature" not in str(refusal.value)
        with pytest.raises(SuspectError, match="redirects to"):
            client.post_json(f"{service.url}/a", {}, fields(client))
        assert not elsewhere.requests and client.tally.requests == 2


def test_redirects_of_one_host_are_followed_a_few_times(service: Loopback) -> None:
    service.tricks, service.always = deque([redirect("/b", 308), says({"fine": True})]), None
    client = Client(service.url, Secret(KEY))
    assert client.post_json(f"{service.url}/a", {"x": 1}, fields(client)) == {"fine": True}
    assert service.paths() == ["/a", "/b"] and service.bodies() == [{"x": 1}] * 2
    service.always = redirect("/a", 302)
    with pytest.raises(SuspectError, match="in circles"):
        client.get(f"{service.url}/a", fields(client))
    with pytest.raises(SuspectError, match="redirects to"):
        client.post_json(f"{service.url}/a", {}, fields(client))


def test_pictures_kept_elsewhere_get_no_key_and_nothing_inside_this_network_is_opened(
    service: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(Loopback(always=says({"fine": True}))) as elsewhere:
        client = Client(service.url, Secret(KEY))
        assert client.fetch(f"{elsewhere.url}/a", fields(client)) == {"fine": True}
        assert "Authorization" not in elsewhere.requests[0][2]
        assert client.fetch(f"{service.url}/a", fields(client)) == {"fine": True}
        assert service.requests[0][2]["Authorization"] == f"Bearer {KEY}"
        far = Client("https://api.example.org/v1")
        inside = (elsewhere.url, "https://127.0.0.1/a", "https://169.254.169.254/latest", "http://1.1.1.1/a")
        for url in inside:
            with pytest.raises(SuspectError, match="not public https"):
                far.fetch(url, fields(far))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: [(0, 0, 0, "", ("10.0.0.7", 0))])
        with pytest.raises(SuspectError, match="not public https"):
            far.fetch("https://pictures.example.org/a", fields(far))
        with pytest.raises(PassingTrouble):
            far.fetch("https://a:b/", fields(far))
        assert len(elsewhere.requests) == 1


def test_a_key_that_is_sent_back_is_not_repeated(service: Loopback) -> None:
    client = Client(service.url, Secret(KEY), sleep=lambda pause: None, say=(said := list[str]()).append)
    for code in (400, 401, 403, 500):
        service.always = status(code, {"error": f"Incorrect API key provided: {KEY}. You can find yours at …"})
        with pytest.raises(SuspectError, match=r"Incorrect API key provided: \[key\]") as refusal:
            client.get(f"{service.url}/a", fields(client))
        shown = f"{refusal.value!s} {refusal.value!r} {said} {client.tally!r} {vars(client)}"
        assert KEY not in shown, "in no message and no repr"
    assert client.tally.requests == 8


def test_a_missing_or_wrong_key_is_told_apart(service: Loopback) -> None:
    service.always = status(401, "no")
    with pytest.raises(SuspectError, match=f"Set the key: {KEY_VARIABLE}"):
        (client := Client(service.url)).get(f"{service.url}/a", fields(client))
    with pytest.raises(SuspectError, match=f"Check the key in {KEY_VARIABLE}"):
        (client := Client(service.url, Secret(KEY))).get(f"{service.url}/a", fields(client))


def test_requests_keep_their_pace(service: Loopback) -> None:
    client = Client(service.url, limits=Limits(per_minute=240))
    started = time.monotonic()
    for _ in range(4):
        client.get(f"{service.url}/a", fields(client))
    assert 0.7 <= time.monotonic() - started < 15


def test_nobody_listens() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        client = Client(url, limits=Limits(attempts=2), sleep=lambda pause: None)
        with pytest.raises(SuspectError, match=f"{url} does not answer after 2 tries"):
            client.get(url, fields(client))


def test_certificates_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of nobody's is refused at once; one whose authority is trusted is fine."""
    if not which("openssl"):
        pytest.skip("openssl is not installed: it makes the certificate of this test")
    import ssl

    subprocess.run(
        [*_SELF_SIGNED.split(), "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=60,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    loopback = Loopback(always=says({"fine": True}))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"service": loopback}))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that break off are expected
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    url = f"https://localhost:{server.server_port}"
    try:
        client = Client(url, Secret(KEY), sleep=lambda pause: pytest.fail("tried again"))
        with pytest.raises(SuspectError, match="a certificate that is not trusted"):
            client.get(url, fields(client))
        assert not loopback.requests, "the key was not sent"
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        client = Client(url, Secret(KEY))
        assert client.get(url, fields(client)) == {"fine": True}
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
