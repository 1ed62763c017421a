"""What a bundle tells of the age of its questions, where these follow a coin."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from detect.bundle.dates import about_questions, about_time
from detect.bundle.opening import opening_of
from detect.bundle.write import OPENING, STAMPS
from protect.keys.keyring import Keyring
from protect.keys.stamps import OF_QUESTIONS, with_questions
from protect.keys.timestamp import request_for
from protect.release.bound import bind
from protect.release.record import Coin, make_header
from tests.support.authorities import make_authority
from tests.support.suspects import marked


def test_a_timestamp_of_the_questions_says_against_which_models_a_verdict_counts(
    tmp_path: Path, keyring: Keyring
) -> None:
    known, authority = marked(tmp_path, keyring).release, make_authority(tmp_path / "authority")
    header = make_header(known.plan, created=known.created, rehearsal=False, coin=Coin("a lottery", "7"))
    release = replace(known, header=header, coin="ab" * 32)
    bound, files = bind(release, keyring.store), {OPENING: opening_of(release, [0])}
    undated = " ".join(about_questions(bound, files, ()))
    assert release.questions_digest in undated and "find out where and when" in undated
    dated = with_questions(release.commitment, release.questions_digest)
    for name, data in {"0001": release.commitment.encode(), f"{OF_QUESTIONS}0001": dated}.items():
        files[f"{STAMPS}/{name}.tsr"] = authority.reply(request_for(data).body)
        files[f"{STAMPS}/{name}.pem"] = authority.root.read_bytes()
    said = about_questions(bound, files, ())
    assert sum(line.startswith("The questions existed at ") for line in said) == 1
    assert said[-1] == "The verdict counts against models that their owner could not run before that time."
    assert sum(line.startswith("The commitment existed at ") for line in about_time(bound, files, ())) == 1
    files[f"{STAMPS}/{OF_QUESTIONS}0001.tsr"] = files[f"{STAMPS}/0001.tsr"]
    assert any("does not count" in line for line in about_questions(bound, files, ())), "it dates the commitment alone"
