"""What to publish before a copy is given away, and where: a text to paste and a page for the owner."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from protect.embed.dating import held_record
from protect.embed.published import QUESTIONS, Published
from protect.files import write_atomic
from protect.keys.coin import TIMESTAMP, comes_out, where_to_look
from protect.keys.keyring import Keyring
from protect.keys.stamps import kept_stamps
from protect.keys.timestamp import Stamp
from protect.keys.tree import NO_COIN
from protect.pages import write_page


def write_publication(published: Published, keyring: Keyring) -> tuple[Path, Path]:
    """Write the text to publish, and the page that says where and why; both can be written anew at any time.

    Args:
        published: the commitment file; timestamps and signature beside it are told of.
        keyring: holds the certificates by which timestamps were checked.

    Returns:
        Paths of text and page.

    Raises:
        InputError: if they cannot be written, or the signature is not the commitment's.
    """
    release = held_record(keyring, published.release)
    stamps = kept_stamps(keyring, release)[0] if release else []
    text, page = published.beside(".txt"), published.beside(".html")
    words, committed = text_to_publish(published, stamps), published.committed
    out = comes_out(committed.coin)
    write_atomic(text, words.encode())
    write_page(
        page,
        "protect.embed",
        "publish.html.j2",
        text=words,
        file=published.path.name,
        text_file=text.name,
        more_files=[path.name for path in _more(published)],
        coin=committed.coin,
        waits=committed.coin is not None and committed.value == NO_COIN,
        out=out and _date(out),
        look_up=where_to_look(committed.coin) if committed.coin else "",
        stamps=[stamp.in_words() for stamp in stamps],
        release=published.release,
        commitment=committed.commitment,
    )
    return text, page


def text_to_publish(published: Published, stamps: Sequence[Stamp]) -> str:
    """The commitment as a text to paste where only text fits.

    Args:
        published: the commitment.
        stamps: its timestamps, checked.

    Raises:
        InputError: if the signature beside it is not the commitment's.
    """
    committed, signature = published.committed, published.signature()
    lines = [
        "Commitment to a marked dataset",
        "",
        "The number below fixes what we did to a dataset before we gave it to anybody. It tells nothing else. With it",
        "anyone can be shown later that our marks are not made up after the fact.",
        "",
        f"commitment  {committed.commitment}",
        f"made        {_date(committed.created)} UTC",
        f"coin        {_coin(published)}",
    ]
    if signature is not None:
        signature.check("commitment", published.data)
        lines += [f"signer      Ed25519 key {signature.public_key}", f"signature   {signature.signature}"]
    lines += [f"timestamp   {stamp.in_words()}" for stamp in stamps]
    return "\n".join(lines) + "\n"


def _coin(published: Published) -> str:
    """The public coin in one line."""
    coin, value = published.committed.coin, published.committed.value
    if coin is None:
        return "none"
    if coin.source == TIMESTAMP:
        name = f"the signature of the timestamp authority whose root certificate is {coin.round}"
    else:
        out = comes_out(coin)
        name = f"{coin.source}, round {coin.round}" + (f", of {_date(out)} UTC" if out else "")
    return f"{name}: {value or 'not known yet'}"


def _more(published: Published) -> list[Path]:
    """Timestamps and signature beside the commitment."""
    replies = [*published.replies(), *published.replies(QUESTIONS)]
    return [*replies, *([published.signature_file] if published.signature_file.exists() else [])]


def _date(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"
