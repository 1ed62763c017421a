"""`protect commit`: fix secret and plan before a public coin is known, which then enters every mark."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from protect.embed.coins import follow_coin, try_other_coins
from protect.embed.committing import commit_to, digest_of_pictures
from protect.embed.expectation import USUAL, Expectation
from protect.embed.forecast import best, check_findable, forecasts
from protect.embed.places import check_places, commitment_file
from protect.embed.select import Selection, select
from protect.errors import InputError
from protect.execution.budget import MemoryBudget
from protect.execution.engine import Engine
from protect.files import pretty_json, write_atomic
from protect.formats import open_dataset
from protect.formats.dataset_format import AS_IT_IS, ReadOptions
from protect.keys.keyring import Keyring
from protect.keys.tree import KeyTree, new_secret
from protect.progress import Progress, no_progress
from protect.release.plan import Options, PartOptions
from protect.release.record import Coin, Plan, Release


def commit(
    folder: Path,
    output: Path,
    options: Options,
    keyring: Keyring,
    coin: Coin,
    *,
    reading: ReadOptions = AS_IT_IS,
    name: str | None = None,
    expectation: Expectation = USUAL,
    anyway: bool = False,
    progress: Progress = no_progress,
    engine: Engine | None = None,
) -> Release:
    """Draw a secret, commit to it and to the plan, and name the public coin that will enter the marks.

    Captions and pictures are read, because the plan holds their digests: nothing of the dataset may change once the
    coin is known. Triggers and marks do not exist yet: they follow from the coin.

    Args:
        folder: the dataset.
        output: where the copy will be; the commitment is written beside it.
        options: the owner's decisions.
        keyring: keeps the secret until `embed` uses it.
        coin: public randomness that does not exist yet.
        reading: what the owner says about the dataset.
        name: what people call the release; the output's name by default.
        expectation: how a thief is expected to train; for the forecast only.
        anyway: commit to a release that can hardly be found, too.
        progress: told about stages.
        engine: what looks at pictures; threads if not given.

    Raises:
        InputError: on bad options or datasets, if the release could hardly be found (with this coin or another, where
            the coin decides what the carriers are), or if a commitment lies beside the output already.
    """
    options.check()
    output = output.resolve()
    check_places(folder.resolve(), output, keyring.home.resolve())
    path = commitment_file(output)
    if path.exists():
        raise InputError(f"{path} exists already", "Keep it safe elsewhere, or give another --output.")
    dataset, secret, store = open_dataset(folder.resolve(), reading), new_secret(), keyring.store

    def decide(keys: KeyTree) -> Selection:
        selection = select(dataset, options, keys, store, MemoryBudget(), progress, engine)
        if not anyway:
            check_findable(best(forecasts(selection, expectation)))
        return selection

    selection = decide(KeyTree(secret))
    if follow_coin(part.alignment_name for part in options.parts):
        try_other_coins(decide)
    pictures = digest_of_pictures(dataset, progress, engine)  # before the date is taken: it may last
    release = commit_to(
        selection,
        options,
        secret,
        name=name or output.name,
        created=datetime.now(UTC),
        coin=coin,
        pictures=pictures,
    )
    store.write_held()
    keyring.save(release)
    write_atomic(path, pretty_json(release.public()))
    return release


def options_of(plan: Plan) -> Options:
    """The options that lead to a committed plan."""
    parts = (
        PartOptions(
            rate=part.rate,
            family=part.family,
            alignment=part.alignment.partition("/")[0],
            family_options=dict(part.family_options),
            alignment_options=dict(part.alignment_options),
            slots=part.slots,
            queries=part.queries,
        )
        for part in plan.parts
    )
    return Options.of(
        *parts,
        decoys=plan.decoys,
        alpha=plan.alpha,
        steps=plan.steps,
        guidance=plan.guidance,
        recipients=plan.recipients,
    )
