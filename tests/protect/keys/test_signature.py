"""The owner's signature."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from protect.errors import InputError, ReleaseError
from protect.keys.keyring import Keyring
from protect.keys.signature import FILE, public_key_pem, read_public_key, sign, signature_from


def test_the_key_is_made_once_and_kept_to_oneself(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "home")
    first = sign(keyring, "commitment", b"data")
    assert (keyring.home / FILE).stat().st_mode & 0o777 == 0o600
    assert sign(keyring, "commitment", b"data") == first
    assert b"PRIVATE" not in public_key_pem(keyring)
    assert (
        read_public_key(public_key_pem(keyring), "x")
        == first.public_key
        == read_public_key(first.public_key.encode() + b"\n", "x")
    )
    assert sign(Keyring(tmp_path / "other"), "commitment", b"data").public_key != first.public_key


def test_a_signature_is_of_one_thing_of_one_kind(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "home")
    mine = signature_from(sign(keyring, "commitment", b"data").to_json(), "x")
    mine.check("commitment", b"data")
    other = sign(Keyring(tmp_path / "other"), "commitment", b"data")
    for wrong, kind, data in (
        (mine, "bundle", b"data"),
        (replace(mine, kind="bundle"), "bundle", b"data"),
        (mine, "commitment", b"date"),
        (replace(mine, signature=other.signature), "commitment", b"data"),
        (replace(mine, public_key=other.public_key), "commitment", b"data"),
    ):
        with pytest.raises(InputError, match="signature is not one of key"):
            wrong.check(kind, data)  # type: ignore[arg-type]


def test_every_changed_digit_is_caught(tmp_path: Path) -> None:
    mine = sign(Keyring(tmp_path / "home"), "bundle", b"data")
    for name in ("public_key", "signature"):
        text = getattr(mine, name)
        for place in range(len(text)):
            digit = format(int(text[place], 16) ^ 1, "x")
            with pytest.raises(InputError):
                replace(mine, **{name: text[:place] + digit + text[place + 1 :]}).check("bundle", b"data")


def test_two_runs_that_start_together_make_one_key(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "home")
    keys: list[str] = []
    workers = [threading.Thread(target=lambda: keys.append(sign(keyring, "bundle", b"").public_key)) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(keys) == 8 and len(set(keys)) == 1


def test_keys_that_cannot_be_used(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "home")
    sign(keyring, "bundle", b"")
    path = keyring.home / FILE
    whole = path.read_bytes()
    path.chmod(0o644)
    with pytest.raises(ReleaseError, match="can be read by others"):
        sign(keyring, "bundle", b"")
    path.chmod(0o600)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ReleaseError, match="damaged signing key"):
        sign(keyring, "bundle", b"")
    assert path.read_bytes() == whole[: len(whole) // 2], "a damaged key is never replaced by itself"


@pytest.mark.parametrize("change", [{"scheme": "RSA"}, {"public_key": "00"}, {"signature": 5}, {"kind": None}, None])
def test_files_that_are_no_signature(tmp_path: Path, change: dict[str, object] | None) -> None:
    row = json.loads(sign(Keyring(tmp_path / "home"), "bundle", b"").to_json())
    data = json.dumps(row | change).encode() if change is not None else b"[]"
    with pytest.raises(InputError):
        signature_from(data, "x").check("bundle", b"")


@pytest.mark.parametrize("data", [b"", b"zz", b"ab", b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n"])
def test_files_that_are_no_public_key(data: bytes) -> None:
    with pytest.raises(InputError, match="is no public Ed25519 key"):
        read_public_key(data, "x")


def test_checking_needs_no_torch_and_no_array_library() -> None:
    """Who checks evidence installs little."""
    code = (
        "import sys; from protect.keys import authority, beacon, signature, timestamp;"
        "print(sorted({'torch', 'numpy', 'scipy', 'PIL', 'cryptography'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"
