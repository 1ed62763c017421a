"""Timestamps by RFC 3161: an authority signs the hash of some bytes together with the time.

The reply is kept as it came. It is checked offline against root certificates which the checker trusts; the certificates
must have been valid at the time that the reply tells, not now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from protect.errors import InputError
from protect.keys.der import only_signature, two_integers, with_sorted_certificates

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

_SHA256 = "2.16.840.1.101.3.4.2.1"
_GRANTED = 0


class Untrusted(InputError):
    """A timestamp that leads to none of the certificates that the checker trusts."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a reply says that was checked."""

    time: datetime
    """UTC."""
    authority: str
    """Subject of the certificate that signed it."""
    root: str
    """SHA-256 of the trusted certificate that it leads to, 64 hex digits."""
    serial: int
    """The authority's number of the reply."""
    policy: str
    """Dotted number of the rules that the authority says it follows."""
    draw: str | None
    """A hash of the authority's signature, 64 hex digits: nobody but the authority can know it before it signs. None
    for signatures of which several spellings could pass."""

    def in_words(self) -> str:
        """One line for people."""
        return f"{self.time:%Y-%m-%d %H:%M:%S} UTC, by {self.authority} (number {self.serial}, root {self.root[:16]}…)"


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent to an authority."""

    body: bytes
    nonce: int


def request_for(data: bytes) -> Request:
    """A request for a timestamp of `data` (its SHA-256), with a fresh nonce."""
    client = _client()
    built = client.TimestampRequestBuilder().data(data).hash_algorithm(client.HashAlgorithm.SHA256).build()
    return Request(built.as_bytes(), built.nonce)


def read_certificates(data: bytes, source: object) -> tuple[Certificate, ...]:
    """Certificates from a PEM or DER file.

    Args:
        data: content of the file.
        source: what messages call it.

    Raises:
        InputError: if it holds none.
    """
    from cryptography import x509

    try:
        found = (
            x509.load_pem_x509_certificates(data) if b"-----BEGIN" in data else [x509.load_der_x509_certificate(data)]
        )
    except ValueError as error:
        raise InputError(
            f"{source} holds no certificate ({error})", "Give the authority's root certificate, as a PEM or DER file."
        ) from None
    return tuple(found)


def fingerprint(certificate: Certificate) -> str:
    """SHA-256 of a certificate, 64 hex digits: by it a commitment names its authority."""
    from cryptography.hazmat.primitives import hashes

    return certificate.fingerprint(hashes.SHA256()).hex()


def check_reply(
    reply: bytes,
    data: bytes,
    roots: Sequence[Certificate],
    *,
    nonce: int | None = None,
    policy: str | None = None,
) -> Stamp:
    """Check a reply of an authority.

    Args:
        reply: its bytes.
        data: what was to be timestamped.
        roots: certificates that the checker trusts, at least one.
        nonce: of the request, if it was made just now.
        policy: dotted number that the reply must name; any if None.

    Raises:
        InputError: if it is no reply, a refusal, of other bytes, an answer to another request, or under another policy.
        Untrusted: if it leads to none of the roots.
    """
    try:
        parsed, readable = _parse(reply)
        told = _told(parsed)
        _check_told(told, data, nonce, policy)
        root = _trusted(parsed, roots, data)
        signer = _signer(parsed)
        return Stamp(
            time=told.gen_time.astimezone(UTC),
            authority=signer.subject.rfc4514_string(),
            root=fingerprint(root),
            serial=told.serial_number,
            policy=told.policy.dotted_string,
            draw=_draw(readable, signer),
        )
    except ValueError as error:  # parts are read when they are asked for
        raise _not_a_reply(reply, error) from None


def _told(parsed: Any) -> Any:
    """What the authority says."""
    if parsed.status != _GRANTED:
        said = "; ".join(parsed.status_string) or "no reason given"
        raise InputError(f"the authority refused (status {parsed.status}: {said})", "Ask another authority.")
    return parsed.tst_info


def _check_told(told: Any, data: bytes, nonce: int | None, policy: str | None) -> None:
    imprint, wanted = told.message_imprint, hashlib.sha256(data).digest()
    if imprint.hash_algorithm.dotted_string != _SHA256 or imprint.message != wanted:
        raise InputError(
            f"the timestamp is of something else: its hash is {imprint.message.hex()[:20]}…, not {wanted.hex()[:20]}…",
            "Give the reply that belongs to this file, or ask for a new one.",
        )
    if nonce is not None and told.nonce != nonce:
        raise InputError("the authority answered another request: the nonce is not ours", "Ask again, over https.")
    if policy is not None and told.policy.dotted_string != policy:
        raise InputError(
            f"the timestamp follows policy {told.policy.dotted_string}, wanted {policy}",
            "Ask an authority with that one.",
        )


def _parse(reply: bytes) -> tuple[Any, bytes]:
    """The reply as the library reads it, and the bytes that it read."""
    decode = _client().decode_timestamp_response
    try:
        return decode(reply), reply
    except ValueError:
        pass
    readable = with_sorted_certificates(reply)
    return decode(readable), readable


def _not_a_reply(reply: bytes, error: Exception) -> InputError:
    return InputError(
        f"{len(reply)} bytes that are no reply of a timestamp authority ({str(error)[:80]})",
        "Check the address: it must speak RFC 3161.",
    )


def _trusted(parsed: Any, roots: Sequence[Certificate], data: bytes) -> Certificate:
    """The root that the reply leads to."""
    client = _client()
    why: Exception | str = "no certificate was given"
    for root in roots:
        try:
            client.VerifierBuilder(roots=[root]).build().verify_message(parsed, data)
        except (client.VerificationError, ValueError) as error:
            why = error
        else:
            return root
    names = ", ".join(root.subject.rfc4514_string() for root in roots) or "none"
    raise Untrusted(
        f"no authority that is trusted signed this timestamp; trusted: {names} ({str(why)[:120]})",
        "Give the root certificate of the authority: --authority-certificate FILE.",
    )


def _signer(parsed: Any) -> Certificate:
    """The certificate that signed a reply which was checked."""
    from cryptography import x509

    (info,) = parsed.signed_data.signer_infos
    certificates = map(x509.load_der_x509_certificate, parsed.signed_data.certificates)
    return next(c for c in certificates if (c.issuer, c.serial_number) == (info.issuer, info.serial_number))


def _draw(readable: bytes, signer: Certificate) -> str | None:
    """See `Stamp.draw`. An ECDSA signature (r, s) can be turned into (r, -s) by anyone, so only r counts."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    signature, key = only_signature(readable), signer.public_key()
    if isinstance(key, EllipticCurvePublicKey):
        number = two_integers(signature)[0]
    elif isinstance(key, RSAPublicKey):
        number = int.from_bytes(signature, "big")
    else:
        return None
    return hashlib.sha256(b"tracemark draw by a timestamp\n" + f"{number:x}".encode()).hexdigest()


def _client() -> Any:
    try:
        import rfc3161_client
    except ImportError:
        raise InputError(
            "timestamps need the package rfc3161-client", 'Install it: pip install "tracemark[timestamp]"'
        ) from None
    return rfc3161_client
