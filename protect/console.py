"""What all commands share: progress on stderr, results on stdout, errors in two lines."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer

from protect import __version__
from protect.clock import now
from protect.errors import InputError, TracemarkError
from protect.files import write_atomic
from protect.progress import Pace, duration

if TYPE_CHECKING:
    from rich.progress import Progress

# Typer carries its own copy of click in some versions and the package in others; this is right for both.
UsageError: Any = typer.BadParameter.__base__

DONE, USAGE, EVIDENCE, INCONCLUSIVE, SET_ASIDE, STOPPED = 0, 2, 3, 4, 5, 130  # 1 is left to bugs
NOT_ENOUGH = INCONCLUSIVE
"""A plan that falls short is no mistake of usage and no success."""
EXIT_CODES = {
    DONE: "done",
    1: "a bug",
    USAGE: "usage or input",
    EVIDENCE: "evidence (with --exit-code)",
    INCONCLUSIVE: "inconclusive (with --exit-code); plan: not enough",
    SET_ASIDE: "done, but samples were set aside or damage found",
    STOPPED: "stopped",
}
"""What each means; all programs show it at the end of their help."""


_FIRST_SAID = 1_000
"""Things done before a stage of unknown length is mentioned in a log."""


_WORD = r"(?:'[^']*'|[^\s'])+"
_WORDS = re.compile(rf"-{{1,2}}[a-z-]+ (?!-){_WORD}|{_WORD}")
"""Of a command line: options with their values, and all others, quoted ones whole."""
_STEERING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\r(?!\n|$)")
"""Control characters but for tabs and ends of lines, and those that change the direction of writing."""


class Reporter:
    """Progress bars by stage; call it with (stage, done, total)."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, Any] = {}
        self._paces: dict[str, Pace] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Move the bar of `stage`."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total or None, rate="")
        pace = self._pace(stage, done)
        rate = f"{pace.rate:,.0f}/s" if pace.rate and pace.rate >= 1 else ""
        self._progress.update(self._tasks[stage], completed=done, total=total or None, rate=rate)

    def _pace(self, stage: str, done: int) -> Pace:
        pace = self._paces.setdefault(stage, Pace())
        pace.told(done)
        return pace


@contextmanager
def progress(log_json: bool = False) -> Iterator[Reporter]:
    """Progress on stderr while the block runs; some lines per stage where stderr is not a terminal.

    Args:
        log_json: whether these lines are JSON, terminal or not.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    if log_json:
        yield _JsonReporter(Progress(disable=True))
    elif console.is_terminal:
        with Progress(*columns, console=console, refresh_per_second=4) as bars:
            yield Reporter(bars)
    else:
        yield _PlainReporter(Progress(disable=True))


class _PlainReporter(Reporter):
    """Lines for logs: the start and each further quarter of a stage, or each doubling where the total is not known."""

    steps = 4

    def __init__(self, progress: Progress) -> None:
        super().__init__(progress)
        self._said: dict[str, int] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        pace = self._pace(stage, done)
        step = self.steps * done // total if total else done.bit_length()
        if self._said.get(stage, -1) < step and (total or done >= _FIRST_SAID):
            self._said[stage] = step
            _say(sys.stderr, self.line(stage, done, total, pace))

    def line(self, stage: str, done: int, total: int, pace: Pace) -> str:
        """What is written."""
        left = pace.left(total) if done < total else None
        more = f" ({pace.rate:,.1f}/s, {duration(left)} left)" if left is not None and left >= 1 else ""
        return f"{stage}: {done}/{total}{more}" if total else f"{stage}: {done}"


class _JsonReporter(_PlainReporter):
    """The same for programs, at each tenth: JSON objects with time, stage, done, total, seconds, rate, left."""

    steps = 10

    def line(self, stage: str, done: int, total: int, pace: Pace) -> str:
        """What is not known is null; `left` is in seconds, and `rate` per second."""
        left = pace.left(total)
        return json.dumps(
            {
                "time": now(),
                "stage": stage,
                "done": done,
                "total": total or None,
                "seconds": round(pace.seconds, 2),
                "rate": pace.rate and round(pace.rate, 3),
                "left": None if left is None else round(left, 1),
            }
        )


def answer(text: str, data: Any, as_json: bool, output: Path | None = None, *, table: bool = False) -> None:
    """Print the result, or write it to `output`.

    Args:
        text: what people read.
        data: the same for programs.
        as_json: whether programs read it.
        output: file to write; None for stdout.
        table: whether programs read `text`, too: then it is changed for terminals alone.
    """
    body = _json(data) if as_json else text
    if output is not None:
        write_atomic(output, (body + "\n").encode())
    elif as_json or (table and not sys.stdout.isatty()):
        _print_data(body)
    else:
        _say(sys.stdout, body)


def _json(data: Any) -> str:
    """JSON that is safe on terminals: what would steer one is written as JSON writes it, such as \\u0092."""
    body = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", body)


def _print_data(text: str) -> None:
    """Print what programs read: not a character is changed, and files and pipes get UTF-8 under any locale."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty():
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    _print(sys.stdout, text)


def _say(stream: TextIO, text: str) -> None:
    """Print text for people. Characters that steer a terminal are shown, not obeyed: captions come from strangers."""
    _print(stream, _STEERING.sub(lambda found: ascii(found[0])[1:-1], text))


def _print(stream: TextIO, text: str) -> None:
    """Print text; a reader who has gone away must end neither the work nor its exit code."""
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def make_app(text: str) -> typer.Typer:
    """A console script whose errors `run_app` answers; no markup, which would swallow defaults in brackets."""
    return typer.Typer(help=text, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)


def add_examples(
    app: typer.Typer, examples: Mapping[str, Sequence[str]], with_families: Sequence[str] = (), families: str = ""
) -> None:
    """Put examples at the end of each command's help, and the exit codes at the end of the app's own.

    Args:
        app: with all its commands.
        examples: by command, as it is typed after the program's name.
        with_families: commands that take options of families.
        families: what these are, as a paragraph.
    """
    app.info.epilog = "\n".join(["\b", "Exit codes:", *(f"  {code:<3} {what}" for code, what in EXIT_CODES.items())])
    groups = [("", app), *((f"{group.name} ", group.typer_instance) for group in app.registered_groups)]
    for prefix, group in groups:
        for command in group.registered_commands if group else ():
            shown = (line for one in examples.get(f"{prefix}{command.name}", ()) for line in folded(one))
            lines = ["\b", "Examples:", *(f"  {line}" for line in shown)]
            told = [families] if prefix + str(command.name) in with_families else []
            command.epilog = "\n\n".join([*told, "\n".join(lines)]) if lines[2:] or told else None


def folded(command: str, width: int = 56) -> list[str]:
    """A command in lines that fit narrow terminals, each but the last continued by a backslash as shells read it.

    >>> folded("protect embed ./photographs --rate 2% --family template --dry-run")
    ['protect embed ./photographs --rate 2% \\\\', '    --family template --dry-run']
    """
    lines = [""]
    for word in _WORDS.findall(command):
        if lines[-1].strip() and len(lines[-1]) + len(word) + 3 > width:
            lines[-1] += " \\"
            lines.append("    " + word)
        else:
            lines[-1] += f" {word}" if lines[-1] else word
    return lines


def run_app(app: typer.Typer, name: str) -> None:
    """Run a Typer app: the one place where errors become exit codes."""
    # Threads of the numerical libraries wait for each other: spinning for a moment, then asleep. Where other programs
    # hold the cores, long spinning made a training step seven times as slow. The libraries read this when loaded.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # captions in any script, on any terminal
    if sys.argv[1:] == ["--version"]:
        _say(sys.stdout, f"{name} (tracemark) {__version__}")
        sys.exit(DONE)
    try:
        code = app(prog_name=name, standalone_mode=False)
    except TracemarkError as error:
        sys.exit(_refuse(str(error)))
    except UsageError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a program or a command group alone: its message is the help
            _say(sys.stdout, error.format_message())
            sys.exit(DONE)
        hint = error.ctx.command_path if error.ctx else name
        sys.exit(_refuse(f"{error.format_message()}\nSee: {hint} --help"))
    except (KeyboardInterrupt, typer.Abort):
        code = STOPPED
    except SystemExit as stop:  # Typer's own answer to a reader who has gone away is 1, which is left to bugs
        code = DONE if isinstance(stop.__context__, BrokenPipeError) else stop.code
    except OSError as error:  # the machine's doing and not ours: permissions, full disks, names too long
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(_refuse(f"{place}{error.strerror or error}\nCheck the path, its permissions and the disk."))
    if code == STOPPED:  # some versions of Typer turn Ctrl-C into this code themselves
        _say(sys.stderr, "stopped; what was done is kept: the same command goes on from there")
    sys.exit(code or DONE)


def _refuse(message: str) -> int:
    first, _, rest = message.partition("\n")
    _say(sys.stderr, f"error: {first}" + (f"\n{rest}" if rest else ""))
    return USAGE


def verdict_code(outcomes: Sequence[str]) -> int:
    """What `--exit-code` asks for: the code of the gravest outcome."""
    if "evidence" in outcomes:
        return EVIDENCE
    return INCONCLUSIVE if "inconclusive" in outcomes else DONE


def named_values(given: Sequence[str]) -> dict[str, str]:
    """Options written as NAME=VALUE.

    Raises:
        InputError: if one is written otherwise.
    """
    options = {}
    for text in given:
        name, _, value = text.partition("=")
        if not (name and value):
            raise InputError(f"--option {text} is not NAME=VALUE", "For example: --option psnr=30.")
        options[name] = value
    return options


def read_text(path: Path) -> str:
    """Content of a text file in UTF-8.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}", "Give a text file in UTF-8.") from None


def check_target(option: str, path: Path, others: Sequence[Path | None] = (), *, page: bool = True) -> None:
    """Refuse a place for results before the work and not after it.

    Args:
        option: what the path was given by.
        path: the file to write.
        others: other files to be written.
        page: whether it is an HTML page.

    Raises:
        InputError: if a page is no .html file, the folder is missing or read-only, or two files are one.
    """
    if path.is_dir() or (page and path.suffix.lower() not in {".html", ".htm"}):
        raise InputError(f"{option} {path} is not an .html file" if page else f"{path} is a folder", "Give a file.")
    if not os.access(path.absolute().parent, os.W_OK):
        raise InputError(f"{path.absolute().parent} is not a writable folder", f"Give another {option}.")
    if path.absolute() in [other.absolute() for other in others if other]:
        raise InputError(f"two results would both go to {path}", f"Give another {option}.")
