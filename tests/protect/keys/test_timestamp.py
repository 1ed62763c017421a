"""Timestamps: what a reply says is believed only if all of it fits."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from protect.errors import InputError
from protect.keys import timestamp
from protect.keys.der import (
    INTEGER,
    SEQUENCE,
    elements,
    only_signature,
    two_integers,
    with_sorted_certificates,
    wrapped,
)
from protect.keys.timestamp import check_reply, fingerprint, read_certificates, request_for
from tests.support.authorities import NO_OPENSSL, Authority

DATA = b"ab" * 32


def _roots(authority: Authority):  # type: ignore[no-untyped-def]
    return read_certificates(authority.root.read_bytes(), authority.root)


def test_a_reply_tells_time_authority_and_root(authority: Authority, other_authority: Authority) -> None:
    for one, name in ((authority, "Test"), (other_authority, "Other")):
        request = request_for(DATA)
        stamp = check_reply(one.reply(request.body), DATA, _roots(one), nonce=request.nonce, policy="1.2.3.4.1")
        assert abs(stamp.time - datetime.now(UTC)) < timedelta(seconds=60)
        assert stamp.authority == f"CN={name} authority" and stamp.root == fingerprint(_roots(one)[0])
        assert stamp.policy == "1.2.3.4.1" and name in stamp.in_words()
        both = (*_roots(authority), *_roots(other_authority))
        assert check_reply(one.reply(request.body), DATA, both).root == stamp.root


def test_what_does_not_fit_is_refused(authority: Authority, other_authority: Authority) -> None:
    request = request_for(DATA)
    reply, roots = authority.reply(request.body), _roots(authority)
    cases = (
        ((reply, b"other", roots), {}, "timestamp is of something else"),
        ((reply, DATA, _roots(other_authority)), {}, "no authority that is trusted signed this timestamp"),
        ((reply, DATA, ()), {}, "no authority that is trusted"),
        ((reply, DATA, roots), {"nonce": request.nonce + 1}, "answered another request"),
        ((reply, DATA, roots), {"policy": "1.2.3.4.2"}, "follows policy 1.2.3.4.1, wanted 1.2.3.4.2"),
        ((b"<html>no</html>", DATA, roots), {}, "no reply of a timestamp authority"),
        ((b"", DATA, roots), {}, "no reply of a timestamp authority"),
        ((reply[:-5], DATA, roots), {}, "no reply of a timestamp authority"),
        ((reply + b"\x00", DATA, roots), {}, "no reply of a timestamp authority"),
    )
    for given, named, message in cases:
        with pytest.raises(InputError, match=message) as refusal:
            check_reply(*given, **named)  # type: ignore[arg-type]
        assert str(refusal.value).count("\n") == 1, message


def test_a_refusal_of_the_authority_is_told(authority: Authority) -> None:
    asked = request_for(DATA).body
    refused = authority.reply(asked.replace(bytes.fromhex("608648016503040201"), bytes.fromhex("608648016503040203")))
    with pytest.raises(InputError, match=r"the authority refused \(status 2"):
        check_reply(refused, DATA, _roots(authority))


def test_every_changed_byte_of_a_reply_is_noticed_or_says_the_same(authority: Authority) -> None:
    """Some bytes are not signed over; whatever they are, time, hash, number and draw stay those that were signed."""
    reply, roots = authority.reply(request_for(DATA).body), _roots(authority)
    first, refused = check_reply(reply, DATA, roots), 0
    for place in range(0, len(reply), 7):
        changed = bytearray(reply)
        changed[place] ^= 1
        try:
            again = check_reply(bytes(changed), DATA, roots)
        except InputError:
            refused += 1
        else:
            assert again == first, place
    assert refused > 0.9 * len(range(0, len(reply), 7))


def _replaced(data: bytes, old: bytes, new: bytes) -> bytes:
    """DER with the content of one element replaced, and all lengths around it made right."""
    if old not in data:
        return data
    inner = ((e.tag, new if e.content == old else _replaced(e.content, old, new)) for e in elements(data))
    return b"".join(wrapped(tag, content) for tag, content in inner)


def test_a_signature_spelled_otherwise_draws_the_same(authority: Authority, other_authority: Authority) -> None:
    """(r, n - s) verifies where (r, s) does: were it another draw, every reply would be two tries."""
    roots, order = _roots(authority), 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    reply = authority.reply(request_for(DATA).body)
    signature = only_signature(reply)
    r, s = two_integers(signature)
    turned = b"".join(wrapped(INTEGER, v.to_bytes(v.bit_length() // 8 + 1, "big")) for v in (r, order - s))
    other = _replaced(reply, signature, wrapped(SEQUENCE, turned))
    first, second = check_reply(reply, DATA, roots), check_reply(other, DATA, roots)
    assert other != reply and first.draw == second.draw and first.draw
    again = check_reply(authority.reply(request_for(DATA).body), DATA, roots)
    assert again.draw != first.draw, "each reply is a draw of its own"
    by_rsa = other_authority.reply(request_for(DATA).body)
    assert len(check_reply(by_rsa, DATA, _roots(other_authority)).draw or "") == 64


def test_signatures_of_other_kinds_draw_nothing(authority: Authority) -> None:
    """How many spellings of them pass is not known."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    reply = authority.reply(request_for(DATA).body)
    other = SimpleNamespace(public_key=Ed25519PrivateKey.generate().public_key)
    assert timestamp._draw(reply, other) is None  # type: ignore[arg-type]


def test_certificates_in_the_wrong_order_are_read_and_the_reply_is_kept(other_authority: Authority) -> None:
    import rfc3161_client

    reply = other_authority.reply(request_for(DATA).body)
    with pytest.raises(ValueError, match="InvalidSetOrdering"):
        rfc3161_client.decode_timestamp_response(reply)
    sorted_reply = with_sorted_certificates(reply)
    assert sorted_reply != reply and sorted(sorted_reply) == sorted(reply)
    assert with_sorted_certificates(sorted_reply) == sorted_reply
    assert check_reply(reply, DATA, _roots(other_authority)) == check_reply(sorted_reply, DATA, _roots(other_authority))


def test_openssl_agrees(authority: Authority, tmp_path: Path) -> None:
    """What the published page tells a sceptic to type."""
    if shutil.which("openssl") is None:
        pytest.skip(NO_OPENSSL)
    (tmp_path / "c.txt").write_bytes(DATA)
    (tmp_path / "c.tsr").write_bytes(authority.reply(request_for(DATA).body))
    command = ["openssl", "ts", "-verify", "-data", "c.txt", "-in", "c.tsr", "-CAfile", str(authority.root)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0 and b"Verification: OK" in done.stdout


@pytest.mark.parametrize("data", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_files_without_certificates(data: bytes) -> None:
    with pytest.raises(InputError, match=r"x\.pem holds no certificate"):
        read_certificates(data, "x.pem")


def test_certificates_come_as_pem_or_der(authority: Authority) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    (root,) = _roots(authority)
    assert read_certificates(root.public_bytes(Encoding.DER), "x") == (root,)


@pytest.mark.parametrize("text", ["02", "0280", "02810105", "0284000000ff", "0205ff", "1f8100", "02820001ff"])
def test_bytes_that_are_not_der(text: str) -> None:
    with pytest.raises(ValueError, match="not DER"):
        elements(bytes.fromhex(text))


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65536])
def test_what_is_wrapped_is_read_back(size: int) -> None:
    (found,) = elements(wrapped(SEQUENCE, bytes(size)))
    assert (found.tag, len(found.content)) == (SEQUENCE, size)


def test_without_the_package_the_line_to_install_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    for call in (lambda: request_for(DATA), lambda: check_reply(b"", DATA, ())):
        with pytest.raises(InputError, match=r"rfc3161-client") as refusal:
            call()
        assert "tracemark[timestamp]" in refusal.value.advice
