"""Commands that write protected copies and compare them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from protect import console
from protect.buckets import BucketPath, place
from protect.embed.answers import (
    difference_text,
    embedding_json,
    embedding_text,
)
from protect.embed.commit import options_of
from protect.embed.difference import difference
from protect.embed.estimate import Estimate, estimate
from protect.embed.estimate_text import estimate_json, estimate_text
from protect.embed.expectation import Expectation
from protect.embed.job import Embedding
from protect.embed.options import (
    AlignmentName,
    Both,
    Family,
    FamilyOption,
    ForRecipients,
    Method,
    Name,
    Passes,
    Rate,
    Slots,
    Wordings,
    make_options,
    refuse_given,
    share,
)
from protect.embed.places import ending, refuse_marked
from protect.embed.write import embed
from protect.errors import InputError
from protect.execution.engine import Engine
from protect.formats import open_dataset
from protect.formats.dataset_format import ReadOptions
from protect.keys.keyring import Keyring
from protect.progress import Progress
from protect.reading import CaptionColumn, Exclude, LeaveCaptions, Only, Split, reading
from protect.release.plan import RECOMMENDED, Options
from protect.working import EngineName, LogJson, Workers, engine_of

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DatasetPlace = Annotated[
    Path,
    typer.Argument(
        parser=place, metavar="DATASET", help="Folder, tar or parquet file of captioned pictures, or s3://… of shards."
    ),
]
Copy = Annotated[Path, typer.Argument(parser=place, metavar="COPY", help="Protected copy.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", parser=place, metavar="PATH", help="Protected copy. [<dataset>-protected]"),
]
Queries = Annotated[
    int | None,
    typer.Option(
        help="Questions per slot, but for those that --both adds; choices of words share theirs and ask each in both "
        "wordings. [8 to 256, by family]"
    ),
]
Decoys = Annotated[int, typer.Option(help="Decoys per slot.")]
Alpha = Annotated[
    float, typer.Option(parser=share, metavar="SHARE", help="Allowed chance of a false accusation, such as 0.1%.")
]
Steps = Annotated[int, typer.Option(help="Sampling steps of the test.")]
Guidance = Annotated[float, typer.Option(help="Guidance scale of the test.")]
_SETTLED = (
    "rate",
    "family",
    "alignment",
    "option",
    "wordings",
    "both",
    "slots",
    "queries",
    "decoys",
    "alpha",
    "steps",
    "guidance",
    "for_recipients",
)


def embed_command(
    context: typer.Context,
    dataset: DatasetPlace,
    output: Output = None,
    rate: Rate = None,
    family: Family = "",
    alignment: AlignmentName = None,
    option: FamilyOption = None,
    wordings: Wordings = None,
    both: Both = False,
    slots: Slots = None,
    for_recipients: ForRecipients = False,
    queries: Queries = None,
    decoys: Decoys = RECOMMENDED.decoys,
    alpha: Alpha = RECOMMENDED.alpha,
    steps: Steps = RECOMMENDED.steps,
    guidance: Guidance = RECOMMENDED.guidance,
    caption_column: CaptionColumn = None,
    leave_captions: LeaveCaptions = None,
    only: Only = None,
    exclude: Exclude = None,
    split: Split = None,
    passes: Passes = 10.0,
    method: Method = "lora",
    name: Name = None,
    commitment: Annotated[
        str | None, typer.Option(help="Commitment made before (protect commit), by id or name.")
    ] = None,
    coin: Annotated[str | None, typer.Option(help="Value of the public coin which that commitment named.")] = None,
    workers: Workers = None,
    engine: EngineName = "local",
    log_json: LogJson = False,
    link: Annotated[bool, typer.Option("--link", help="Hard-link files that do not change.")] = False,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Write a release that can hardly be found, or of a marked copy.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")] = False,
    as_json: Json = False,
) -> int:
    """Write a protected copy of DATASET and the commitment beside it, keep the secret record in the keyring.

    Unmarked files are copied byte for byte. Nothing is changed in place. A stopped run resumes.
    """
    keyring, expectation = Keyring.default(), Expectation(passes, method)
    expectation.check()
    if not anyway:
        refuse_marked(dataset, keyring)
    if commitment:
        options = _committed(context, keyring, commitment)
    else:
        made = make_options(rate, family, alignment, option, slots, keyring.store, wordings=wordings, both=both)
        options = replace(
            made,
            queries=queries,
            decoys=decoys,
            alpha=alpha,
            steps=steps,
            guidance=guidance,
            recipients=for_recipients,
        )
    target, said = output or default_output(dataset), reading(caption_column, leave_captions, only, exclude, split)
    asked = _Asked(dataset, target, options, keyring, said, expectation, engine_of(engine, workers), link)
    with console.progress(log_json) as progress:
        guess = asked.estimated(progress) if dry_run and not commitment else None
        if guess:
            console.answer(estimate_text(guess, target), estimate_json(guess, target), as_json)
            return console.DONE
        done = asked.embedded(progress, name=name, commitment=commitment, coin=coin, dry_run=dry_run, anyway=anyway)
    console.answer(embedding_text(done, keyring, dry_run), embedding_json(done, dry_run), as_json)
    return console.SET_ASIDE if done.set_aside_count else console.DONE


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for: both the estimate and the copy need to know it."""

    dataset: Path
    target: Path
    options: Options
    keyring: Keyring
    reading: ReadOptions
    expectation: Expectation
    engine: Engine
    link: bool

    def estimated(self, progress: Progress) -> Estimate | None:
        """What it would cost, by some of its shards; None for small datasets, of which all is decided."""
        return estimate(
            self.dataset,
            self.target,
            self.options,
            self.keyring,
            reading=self.reading,
            expectation=self.expectation,
            engine=self.engine,
            link=self.link,
            progress=progress,
        )

    def embedded(
        self,
        progress: Progress,
        *,
        name: str | None,
        commitment: str | None,
        coin: str | None,
        dry_run: bool,
        anyway: bool,
    ) -> Embedding:
        """The copy itself, or all that is decided of it (see `embed`)."""
        return embed(
            self.dataset,
            self.target,
            self.options,
            self.keyring,
            reading=self.reading,
            name=name,
            commitment=commitment,
            coin=coin,
            expectation=self.expectation,
            dry_run=dry_run,
            anyway=anyway,
            link=self.link,
            progress=progress,
            engine=self.engine,
        )


def _committed(context: typer.Context, keyring: Keyring, commitment: str) -> Options:
    """The options that a commitment fixed, and no others beside them."""
    refuse_given(context, _SETTLED, "the commitment holds the plan")
    return options_of(keyring.waiting(commitment).plan)


def diff_command(
    first: Annotated[Path, typer.Argument(parser=place, metavar="FIRST", help="A copy, such as the original.")],
    second: Annotated[
        Path, typer.Argument(parser=place, metavar="SECOND", help="Another, such as the protected copy.")
    ],
    caption_column: CaptionColumn = None,
    leave_captions: LeaveCaptions = None,
    workers: Workers = None,
    engine: EngineName = "local",
    log_json: LogJson = False,
    as_json: Json = False,
) -> int:
    """Say what anyone can see between two copies: changed pictures, changed captions, files in one only.

    No secret takes part. Two recipients who compare their copies see this and no more.
    """
    said = reading(caption_column, leave_captions, None, None, ["all"])
    with console.progress(log_json) as progress:
        found = difference(open_dataset(first, said), open_dataset(second, said), progress, engine_of(engine, workers))
    console.answer(difference_text(found), asdict(found), as_json)
    return console.DONE


def default_output(dataset: Path) -> Path:
    """Where a copy goes if its owner does not say.

    Raises:
        InputError: if the dataset has no name.
    """
    end = ending(dataset)
    name = dataset.absolute().name.removesuffix(end)
    if not name or (isinstance(dataset, BucketPath) and dataset == dataset.bucket):
        raise InputError(f"{dataset} has no name to call the copy by", "Give --output.")
    return dataset.absolute().parent / f"{name}-protected{end}"
