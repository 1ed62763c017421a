"""The little of DER (ITU-T X.690) that a reply of a timestamp authority needs, where the library stops.

Some authorities put the certificates of a reply in another order than DER asks for, and the library refuses to read
those. Certificates are not signed over, so a reading copy has them in order; the reply itself is kept as it came.
"""

from __future__ import annotations

from dataclasses import dataclass

SEQUENCE, SET, OCTETS, INTEGER, FIRST_TAGGED = 0x30, 0x31, 0x04, 0x02, 0xA0


@dataclass(frozen=True, slots=True)
class Element:
    """One element of DER."""

    tag: int
    content: bytes
    whole: bytes
    """With tag and length."""


def elements(data: bytes) -> list[Element]:
    """The elements that follow each other in `data`.

    >>> [(e.tag, e.content) for e in elements(bytes.fromhex("0201050400"))]
    [(2, b'\\x05'), (4, b'')]

    Raises:
        ValueError: if it is not DER with tags of one byte.
    """
    found, place = [], 0
    while place < len(data):
        if len(data) < place + 2 or data[place] & 0x1F == 0x1F:
            raise ValueError("not DER: a tag is cut off or too long")
        start, length = place + 2, data[place + 1]
        if length & 0x80:
            digits = length & 0x7F
            length = int.from_bytes(data[start : start + digits], "big")
            start += digits
            if not 1 <= digits <= 4 or length < 0x80 or length >> 8 * (digits - 1) == 0:
                raise ValueError("not DER: a length is not in its shortest form")
        if start + length > len(data):
            raise ValueError("not DER: an element is cut off")
        found.append(Element(data[place], data[start : start + length], data[place : start + length]))
        place = start + length
    return found


def wrapped(tag: int, content: bytes) -> bytes:
    """An element of DER around `content`.

    >>> wrapped(4, b"ab").hex()
    '04026162'
    """
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content


def signed_data(reply: bytes) -> list[Element]:
    """The parts of the signed data (RFC 5652, section 5.1) in a reply of a timestamp authority (RFC 3161).

    Raises:
        ValueError: if there are none.
    """
    try:
        token = elements(elements(reply)[0].content)[1]
        tagged = elements(token.content)[1]
        return elements(elements(tagged.content)[0].content)
    except IndexError:
        raise ValueError("holds no signed data") from None


def with_sorted_certificates(reply: bytes) -> bytes:
    """The same reply with its certificates in the order of DER; nothing that is signed changes.

    Raises:
        ValueError: if it is not a reply with signed data.
    """
    parts = [
        wrapped(part.tag, b"".join(sorted(e.whole for e in elements(part.content))))
        if part.tag == FIRST_TAGGED
        else part.whole
        for part in signed_data(reply)
    ]
    answer = elements(elements(reply)[0].content)
    content = elements(answer[1].content)
    tagged = wrapped(content[1].tag, wrapped(SEQUENCE, b"".join(parts)))
    token = wrapped(answer[1].tag, content[0].whole + tagged)
    readable = wrapped(SEQUENCE, answer[0].whole + token)
    if len(readable) != len(reply):
        raise ValueError("holds more than a reply")
    return readable


def only_signature(reply: bytes) -> bytes:
    """The bytes of the one signature in a reply.

    Raises:
        ValueError: if there is none, or more than one.
    """
    signers = elements(signed_data(reply)[-1].content)
    if len(signers) != 1:
        raise ValueError(f"holds {len(signers)} signatures")
    octets = [part.content for part in elements(signers[0].content) if part.tag == OCTETS]
    if len(octets) != 1:
        raise ValueError("holds no signature")
    return octets[0]


def two_integers(signature: bytes) -> tuple[int, int]:
    """The two numbers of an ECDSA signature.

    Raises:
        ValueError: if it is none.
    """
    outer = elements(signature)
    numbers = elements(outer[0].content) if len(outer) == 1 and outer[0].tag == SEQUENCE else []
    if [number.tag for number in numbers] != [INTEGER, INTEGER]:
        raise ValueError("is no ECDSA signature")
    return int.from_bytes(numbers[0].content, "big"), int.from_bytes(numbers[1].content, "big")
