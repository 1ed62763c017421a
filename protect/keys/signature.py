"""The owner's signature (Ed25519, RFC 8032): it says that one hand made several commitments and bundles.

The signing key is no part of any mark: whoever steals it can sign in the owner's name, and can find or plant nothing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from protect.errors import InputError, ReleaseError
from protect.files import lock_file, pretty_json, write_atomic

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from protect.keys.keyring import Keyring

Kind = Literal["commitment", "bundle"]
"""What is signed: a signature of one kind never passes for one of another."""
FILE = "signing-key.pem"
_LOCK = "signing-key.lock"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature with the key that checks it."""

    kind: Kind
    public_key: str
    """Raw Ed25519 public key, 64 hex digits."""
    signature: str
    """128 hex digits."""

    def to_json(self) -> bytes:
        """As it lies beside what was signed."""
        return pretty_json({"tracemark": "signature", "scheme": "Ed25519", **asdict(self)})

    def check(self, kind: Kind, data: bytes) -> None:
        """Check that this key signed `data` as a thing of this kind.

        Raises:
            InputError: if it did not.
        """
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))
            if self.kind != kind:
                raise InvalidSignature
            key.verify(bytes.fromhex(self.signature), _signed(kind, data))
        except (InvalidSignature, ValueError):
            raise InputError(
                f"the signature is not one of key {self.public_key[:16]}… over this {kind}",
                "Take neither for the owner's until they match.",
            ) from None


def signature_from(data: bytes, source: object) -> Signature:
    """Read a signature.

    Args:
        data: as `Signature.to_json` wrote it.
        source: what messages call it.

    Raises:
        InputError: if it is none.
    """
    try:
        row = json.loads(data)
        if (row["tracemark"], row["scheme"]) != ("signature", "Ed25519"):
            raise ValueError(f"scheme {row['scheme']!r}")
        found = Signature(row["kind"], row["public_key"], row["signature"])
        sizes = len(bytes.fromhex(found.public_key)), len(bytes.fromhex(found.signature))
        if sizes != (32, 64):
            raise ValueError(f"{sizes[0]} and {sizes[1]} bytes")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{source} is no signature ({error})", "Ask its owner for it again.") from None
    return found


def sign(keyring: Keyring, kind: Kind, data: bytes) -> Signature:
    """Sign with the owner's key, which is made on first use; the same bytes get the same signature.

    Args:
        keyring: holds the key.
        kind: what `data` is.
        data: what is signed.

    Raises:
        ReleaseError: if the key is damaged, or others can read it.
    """
    key = _private_key(keyring)
    return Signature(kind, key.public_key().public_bytes_raw().hex(), key.sign(_signed(kind, data)).hex())


def public_key_pem(keyring: Keyring) -> bytes:
    """The public half of the owner's key, which is made on first use, as a PEM file to give to others."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return _private_key(keyring).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_public_key(data: bytes, source: object) -> str:
    """A public key from a PEM file or its 64 hex digits, as `Signature.public_key` writes it.

    Raises:
        InputError: if it is none.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        if b"-----BEGIN" not in data:
            return Ed25519PublicKey.from_public_bytes(bytes.fromhex(data.decode().strip())).public_bytes_raw().hex()
        key = load_pem_public_key(data)
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("it is of another kind")
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(
            f"{source} is no public Ed25519 key ({error})", "Ask the owner for the file of: protect signing-key."
        ) from None
    return key.public_bytes_raw().hex()


def _signed(kind: Kind, data: bytes) -> bytes:
    """The bytes that are signed: kind and hash, so that no signature can be carried over to something else."""
    return f"tracemark signature of a {kind}\n{hashlib.sha256(data).hexdigest()}".encode()


def _private_key(keyring: Keyring) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from protect.keys.keyring import LOCKS, read_secret

    path = keyring.home / FILE
    with (keyring.folder(LOCKS) / _LOCK).open("w") as lock:
        lock_file(lock.fileno(), wait=True)  # two runs must not make two keys
        if not path.exists():
            _make(path)
    try:
        key = load_pem_private_key(read_secret(path), None)
    except (ValueError, TypeError) as error:
        raise ReleaseError(f"{path} is a damaged signing key ({error})", "Restore it from a backup.") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ReleaseError(f"{path} is not an Ed25519 key", "Restore the signing key from a backup.")
    return key


def _make(path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_atomic(path, pem, mode=0o600)
