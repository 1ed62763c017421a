"""`protect commit`: fix secret and plan before a public coin is known, which then enters every mark."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from protect.embed.coins import follow_coin, try_other_coins
from protect.embed.committing import commit_to, digest_of_pictures, plan_of
from protect.embed.expectation import USUAL, Expectation
from protect.embed.forecast import best, check_findable, forecasts
from protect.embed.places import check_places, commitment_file, release_name
from protect.embed.select import Selection, select
from protect.errors import InputError
from protect.execution.budget import MemoryBudget
from protect.execution.engine import Engine
from protect.files import pretty_json, write_atomic
from protect.formats import open_dataset
from protect.formats.dataset_format import AS_IT_IS, ReadOptions
from protect.keys.coin import TIMESTAMP, WINDOW
from protect.keys.keyring import Keyring
from protect.keys.tree import NO_COIN, KeyTree, new_secret
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
    any_round: bool = False,
    expectation: Expectation = USUAL,
    anyway: bool = False,
    progress: Progress = no_progress,
    engine: Engine | None = None,
) -> Release:
    """Draw a secret, commit to it and to the plan, and name the public coin that will enter the marks.

    Captions and pictures are read, because the plan holds their digests: nothing of the dataset may change once the
    coin is known. Triggers and marks do not exist yet: they follow from the coin.

    If the same was committed to before, and waits for its copy while its file is gone, nothing is drawn anew: that file
    is written again. So a run that was stopped is finished, and a file that was lost comes back.

    Args:
        folder: the dataset.
        output: where the copy will be; the commitment is written beside it.
        options: the owner's decisions.
        keyring: keeps the secret until `embed` uses it.
        coin: public randomness that does not exist yet.
        reading: what the owner says about the dataset.
        name: what people call the release; the output's name by default.
        any_round: whether the owner left the coin's round open, so that a commitment made before may name another.
        expectation: how a thief is expected to train; for the forecast only.
        anyway: commit to a release that can hardly be found, too.
        progress: told about stages.
        engine: what looks at pictures; threads if not given.

    Raises:
        InputError: on bad options or datasets, if the release could hardly be found (with this coin or another, where
            the coin decides what the carriers are), or if a commitment lies beside the output already; if what was
            committed to before can have no coin any more.
    """
    options.check()
    output = output.resolve()
    check_places(folder.resolve(), output, keyring.home.resolve())
    name, path = release_name(name, output), commitment_file(output)
    if path.exists():
        raise InputError(
            f"{path} exists already",
            f"Go on with it (protect timestamp {path}), keep it safe elsewhere, or give another --output.",
        )
    dataset, store = open_dataset(folder.resolve(), reading), keyring.store
    pictures = cache(lambda: digest_of_pictures(dataset, progress, engine))

    def decide(keys: KeyTree) -> Selection:
        selection = select(dataset, options, keys, store, MemoryBudget(), progress, engine)
        if not anyway:
            check_findable(best(forecasts(selection, expectation)))
        return selection

    earlier = _made_before(keyring, name, coin, any_round=any_round)
    same = [one for one in earlier if plan_of(decide(KeyTree(one.secret)), options, pictures()) == one.plan]
    if len(same) > 1:  # which of them was published is not known here
        raise InputError(
            f"{len(same)} commitments that wait for their copy are the same: {', '.join(one.id for one in same)}",
            "Keep the one that you published, and retire the others: protect retire ID.",
        )
    if same:
        _check_in_time(same[0])
        return _write(same[0], path, keyring)
    secret = new_secret()
    selection = decide(KeyTree(secret))
    if follow_coin(part.alignment_name for part in options.parts):
        try_other_coins(decide)
    pictures()  # before the date is taken: it may last
    release = commit_to(
        selection,
        options,
        secret,
        name=name,
        created=datetime.now(UTC),
        coin=coin,
        pictures=pictures(),
    )
    return _write(release, path, keyring)


def _made_before(keyring: Keyring, name: str, coin: Coin, *, any_round: bool) -> list[Release]:
    """Commitments that wait for their copy, and that the same command may have made; their datasets may be others."""
    named = ((held, held.coin_named) for held in keyring.commitments()[0] if _is_free(held, name, keyring))
    return [held for held, other in named if other == coin or (any_round and other and other.source == coin.source)]


def _is_free(held: Release, name: str, keyring: Keyring) -> bool:
    return held.name == name and not keyring.has_copy(held.id)


def _check_in_time(held: Release) -> None:
    """Refuse to go on with a commitment whose timestamp would be too late to be its coin."""
    named, since = held.coin_named, datetime.now(UTC) - datetime.fromisoformat(held.created)
    if named and named.source == TIMESTAMP and held.coin == NO_COIN and since > WINDOW:
        raise InputError(
            f"commitment {held.id}, of a run that was stopped, got no timestamp within {WINDOW}: it can have no coin",
            f"Retire it, then commit again: protect retire {held.id}",
        )


def _write(release: Release, path: Path, keyring: Keyring) -> Release:
    keyring.store.write_held()
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
