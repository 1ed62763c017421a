"""How a trigger or a description joins a caption, so that who reads it finds nothing wrong with the grammar."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from protect.alignments.scripts import RIGHT_TO_LEFT, SPACELESS, comma, main_script
from protect.alignments.sentences import Ending, endings, is_clause, quoted_whole, separator, without_trailer
from protect.alignments.window import WINDOW, fits
from protect.alignments.words import begins_with_capital


class Kind(StrEnum):
    """What a caption is to whoever adds words to it."""

    EMPTY = "empty"
    TAGS = "tag list"
    SPACELESS = "script without spaces"
    RIGHT_TO_LEFT = "right-to-left script"
    SENTENCE = "sentence"
    SENTENCES = "several sentences"
    FRAGMENT = "fragment"


def kind_of(caption: str) -> Kind:
    """What a caption is.

    >>> [str(kind_of(c)) for c in ("a red kite", "The kite flies. It is red.", "kite, sea, sky", "红色的风筝")]
    ['fragment', 'several sentences', 'tag list', 'script without spaces']
    """
    body = caption.strip()
    if not body:
        return Kind.EMPTY
    if separator(body):
        return Kind.TAGS
    script = main_script(body)
    if script in SPACELESS:
        return Kind.SPACELESS
    if script in RIGHT_TO_LEFT:
        return Kind.RIGHT_TO_LEFT
    ends = endings(body)
    if len(ends) > 1 or (ends and ends[0].end < len(body)):
        return Kind.SENTENCES
    return Kind.SENTENCE if ends or is_clause(body) else Kind.FRAGMENT


def before(word: str, caption: str) -> str:
    """A caption with a trigger before it.

    >>> before("zorkev", "a red kite"), before("flag sea", "a red kite"), before("flag sea", "This is a kite.")
    ('zorkev a red kite', 'flag sea, a red kite', 'flag sea: This is a kite.')
    >>> before("zorkev", "1girl, solo, smile"), before("zorkev", "红色的风筝。")
    ('zorkev, 1girl, solo, smile', 'zorkev，红色的风筝。')
    """
    return around(word, "", caption)


def after(phrase: str, caption: str, window: int = WINDOW) -> str:
    """A caption with a description behind it, or before it if it might fall out of the window behind it.

    >>> after("on a wall", "a red kite"), after("on a wall", "The kite flies."), after("on a wall", "kite, sea, sky")
    ('a red kite on a wall', 'The kite flies, on a wall.', 'kite, sea, sky, on a wall')
    >>> after("on a wall", "The kite flies.", window=9)
    'On a wall: The kite flies.'
    """
    return around("", phrase, caption, window)


def around(word: str, phrase: str, caption: str, window: int = WINDOW) -> str:
    """A caption between a trigger and a description, either of which may be empty.

    White space at both ends of the caption stays. Words stay as they are and in their order.

    >>> around("flag sea", "on a wall", "The kite flies.")
    'flag sea: The kite flies, on a wall.'
    """
    body = caption.strip()
    if not body:
        return caption + _joined(word, phrase, _joint(Kind.EMPTY, word, caption))
    start = caption.index(body)
    lead, tail = caption[:start], caption[start + len(body) :]
    kind = kind_of(body)
    opening = f"{word}{_joint(kind, word, body)}" if word else ""
    if not phrase:
        return f"{lead}{opening}{body}{tail}"
    for head, rest in _places(kind, phrase, body):
        if fits(opening + head, window):
            return f"{lead}{opening}{head}{rest}{tail}"
    return f"{lead}{_in_front(kind, word, phrase, body)}{tail}"


def _joint(kind: Kind, word: str, body: str) -> str:
    """What stands between a trigger and the caption behind it.

    A single rare word needs no comma before a fragment: so it was measured. Two nouns before a third do.
    """
    match kind:
        case Kind.TAGS:
            return separator(body) or ", "
        case Kind.SPACELESS:
            return comma(body)
        case Kind.SENTENCE | Kind.SENTENCES:
            return ": "
        case Kind.RIGHT_TO_LEFT:
            return " "
    return ", " if " " in word else " "


def _joined(word: str, phrase: str, joint: str) -> str:
    return f"{word}{joint}{phrase}" if word and phrase else word + phrase


def _in_front(kind: Kind, word: str, phrase: str, body: str) -> str:
    """Trigger and description before a caption so long that the description would not be read behind it."""
    if kind in (Kind.TAGS, Kind.SPACELESS):
        between = colon = _joint(kind, word, body)
    else:
        between, colon = _joint(Kind.FRAGMENT, word, body), ": "
        if not word and begins_with_capital(body):
            phrase = phrase[:1].upper() + phrase[1:]
    return f"{_joined(word, phrase, between)}{colon}{body}"


def _places(kind: Kind, phrase: str, body: str) -> Iterator[tuple[str, str]]:
    """Where a description can go, best first: everything up to it and with it, and what follows."""
    ends = endings(body)
    if kind is Kind.TAGS or not ends:
        yield _at_the_end(kind, phrase, body)
        return
    for place in dict.fromkeys((len(ends) - 1, 0)):
        start = ends[place - 1].end if place else 0
        yield _into_sentence(phrase, body, start, ends[place])


def _at_the_end(kind: Kind, phrase: str, body: str) -> tuple[str, str]:
    if kind is Kind.TAGS:
        between = separator(body) or ", "
        return f"{body.removesuffix(between.strip()).rstrip()}{between}{phrase}", ""
    text = without_trailer(body)
    between = " " if kind is Kind.FRAGMENT and "," not in text else comma(body)
    return f"{text}{_unless_there(text, between)}{phrase}", body[len(text) :]


def _into_sentence(phrase: str, body: str, start: int, ending: Ending) -> tuple[str, str]:
    """Before a sentence's full stop, and out of a quotation with which it ends."""
    text, space = body[: ending.words], body[ending.words : ending.stops[0]]
    stops, closers = body[slice(*ending.stops)], body[ending.stops[1] : ending.end]
    rest = body[ending.end :]
    between = _unless_there(text, space + comma(body))
    if not closers or quoted_whole(body, start, ending):
        return f"{text}{between}{phrase}", f"{space}{stops}{closers}{rest}"
    if set(stops) <= {".", "。"}:
        return f"{text}{space}{closers}{between}{phrase}", f"{stops}{rest}"
    return f"{text}{space}{stops}{closers}{between}{phrase}", f".{rest}"


def _unless_there(text: str, between: str) -> str:
    """No comma behind a comma, a colon or a dash."""
    return " " if text.endswith((",", ";", ":", "–", "—", "-", "，", "、")) else between
