"""Copies from bucket to bucket, against a service on this machine: equal to those on a disk, whatever happens to it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from protect.buckets import BucketError, BucketPath, copies, place
from protect.buckets import service as asking
from protect.commands import protect_app
from protect.console import run_app
from protect.embed.difference import difference
from protect.embed.job import Embedding
from protect.embed.verify import verify
from protect.embed.write import embed
from protect.errors import InputError
from protect.execution.engine import Threads
from protect.execution.processes import CONTEXT
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.progress import Progress, no_progress
from protect.release.plan import Options
from tests.protect.embed import test_forms as forms
from tests.support.buckets import ENVIRONMENT, Service, forget_connections, service
from tests.support.datasets import contents, make_folder

SECRET = secret_from_seed(7, "buckets")
PAINTED = Options(rate=0.02, family="template", alignment="twa", decoys=99, alpha=0.05)
ROOT = Path(__file__).parents[3]
Form = Callable[[Path], Path]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Service]:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    with service(monkeypatch) as running:
        yield running


def _embed(source: Path, output: Path, home: Path, progress: Progress = no_progress) -> Embedding:
    return embed(source, output, PAINTED, Keyring(home), secret=SECRET, engine=Threads(1), progress=progress)


def _in_bucket(home: Path, output: str = "out", progress: Progress = no_progress) -> Embedding:
    return _embed(place("s3://marked/set"), place(f"s3://marked/{output}"), home, progress)


def _filled(form: Form, bucket: Service, tmp_path: Path) -> dict[str, bytes]:
    """Put a dataset into the bucket; what a copy of it on a disk is."""
    source = form(tmp_path)
    (source / "README.md").write_text("boxes")
    bucket.fill("marked", source, "set")
    _embed(source, tmp_path / "out", tmp_path / "home-of-the-disk")
    return contents(tmp_path / "out")


@pytest.mark.parametrize("form", [forms.shards, forms.parquet_folder])
def test_from_bucket_to_bucket_is_the_same_as_on_a_disk(form: Form, bucket: Service, tmp_path: Path) -> None:
    expected = _filled(form, bucket, tmp_path)
    done = _in_bucket(tmp_path / "home")
    assert bucket.holds("marked", "out/") == expected
    beside = bucket.holds("marked")
    assert beside["out.commitment.json"] and not any(name.endswith(".partial") for name in beside)
    copy = open_dataset(place("s3://marked/out"))
    assert verify(done.bound, copy).intact == done.carriers > 0
    found = difference(open_dataset(place("s3://marked/set")), copy)
    assert found.samples == forms.COUNT and len(found.changes) == done.carriers
    assert not (found.only_first or found.only_second or found.files_only_first or found.files_only_second)
    copies.leave()
    room = tmp_path / "scratch" / f"tracemark-{os.getuid()}"
    assert not [path for path in room.iterdir() if not path.name.startswith("lock-")]


@pytest.mark.parametrize("places", [("s3://marked/set", "here"), ("set", "s3://marked/out")])
def test_one_side_may_be_a_disk(places: tuple[str, str], bucket: Service, tmp_path: Path) -> None:
    expected = _filled(forms.shards, bucket, tmp_path)
    source, output = (place(p if p.startswith("s3:") else tmp_path / p) for p in places)
    _embed(source, output, tmp_path / "home")
    copied = bucket.holds("marked", "out/") if isinstance(output, BucketPath) else contents(output)
    assert copied == expected


def test_the_cache_of_files_stays_small(bucket: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "KEPT", 0)
    monkeypatch.setattr(copies, "FEWEST", 1)
    expected = _filled(forms.shards, bucket, tmp_path)
    _in_bucket(tmp_path / "home")
    assert bucket.holds("marked", "out/") == expected
    room = tmp_path / "scratch" / f"tracemark-{os.getuid()}"
    assert len([path for path in room.iterdir() if path.name.startswith("file-")]) <= 1


@contextmanager
def _outages(bucket: Service, count: int, seconds: float = 0.4) -> Iterator[Callable[[str, int, int], None]]:
    """What stops the service, at every call until there were so many outages, and starts it again a moment later."""
    down = threading.Event()
    timers = list[threading.Timer]()

    def up() -> None:
        bucket.start()
        down.clear()

    def told(stage: str, done: int, total: int) -> None:
        if len(timers) < count and not down.is_set():
            down.set()
            bucket.stop()
            timers.append(threading.Timer(seconds, up))
            timers[-1].start()

    yield told
    for timer in timers:
        timer.join()
    assert len(timers) == count


def _survives_outages(bucket: Service, tmp_path: Path, count: int) -> None:
    expected = _filled(forms.shards, bucket, tmp_path)
    done = 0
    while done < count:
        some = min(2, count - done)
        with _outages(bucket, some) as stops:
            _in_bucket(tmp_path / f"home-{done}", f"out-{done}", stops)
        assert bucket.holds("marked", f"out-{done}/") == expected
        done += some


def test_a_service_that_stops_and_starts_costs_time_and_nothing_else(bucket: Service, tmp_path: Path) -> None:
    _survives_outages(bucket, tmp_path, 1)


@pytest.mark.slow
def test_ten_outages(bucket: Service, tmp_path: Path) -> None:
    _survives_outages(bucket, tmp_path, 10)


def _child(environment: dict[str, str], scratch: str, home: Path) -> None:
    import tempfile

    os.environ.update(environment)
    tempfile.tempdir = scratch
    forget_connections()
    _in_bucket(home)


def test_a_killed_run_goes_on(bucket: Service, tmp_path: Path) -> None:
    expected = _filled(forms.shards, bucket, tmp_path)
    CONTEXT.set_forkserver_preload(["protect.embed.copy", "tests.protect.embed.test_buckets"])
    environment = ENVIRONMENT | {"AWS_ENDPOINT_URL": bucket.url}
    process = CONTEXT.Process(target=_child, args=(environment, str(tmp_path / "scratch"), tmp_path / "home"))
    process.start()
    end = time.monotonic() + 120
    while "00000.tar" not in bucket.holds("marked", "out/") and process.is_alive() and time.monotonic() < end:
        time.sleep(0.02)
    assert process.pid and process.is_alive()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert "out.partial" in bucket.holds("marked")  # whoever looks at the copy sees that it is not finished
    with pytest.raises(InputError, match="in the way"):  # and another keyring's run keeps away
        _in_bucket(tmp_path / "another-home")
    _in_bucket(tmp_path / "home")
    assert bucket.holds("marked", "out/") == expected
    assert "out.partial" not in bucket.holds("marked")
    with pytest.raises(InputError, match="exists already"):
        _in_bucket(tmp_path / "home")


def test_a_network_that_is_cut_is_told_in_two_lines_and_the_run_goes_on(
    bucket: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _filled(forms.shards, bucket, tmp_path)
    monkeypatch.setattr(asking, "PATIENCE", 0.5)

    def cut(stage: str, done: int, total: int) -> None:
        if stage == "writing":
            bucket.stop()

    with pytest.raises(BucketError, match="does not answer") as error:
        _in_bucket(tmp_path / "home", progress=cut)
    assert len(str(error.value).splitlines()) == 2 and "secret" not in str(error.value)
    bucket.start()
    done = _in_bucket(tmp_path / "home")
    assert bucket.holds("marked", "out/") == expected and not done.set_aside_count


def _refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What the command line says when it refuses: exit code 2 and two lines."""
    with patch.object(sys, "argv", ["protect", *words]), pytest.raises(SystemExit) as stopped:
        run_app(protect_app, "protect")
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and len(said.strip().splitlines()) == 2 and "Traceback" not in said, said
    assert ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in said
    return said


_COMMAND = """
from protect.execution.processes import Processes
from cli import protect_main
if __name__ == "__main__":
    Processes.worth = 0.0  # however little there is to do
    protect_main()
"""


def _protect(scratch: Path, *words: str) -> dict[str, Any]:
    """A command in a process of its own, as people start it."""
    script = scratch / "command.py"
    script.write_text(_COMMAND)
    environment = os.environ | {"TMPDIR": str(scratch), "TRACEMARK_HOME": str(scratch / "home")}
    done = subprocess.run(
        [sys.executable, str(script), *words, "--json"], env=environment, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_the_commands_work_in_a_bucket_with_several_processes(bucket: Service, tmp_path: Path) -> None:
    bucket.fill("marked", forms.shards(tmp_path), "set")
    painted = ("--family", "template", "--alignment", "twa", "--rate", "0.02", "--anyway")
    dry = _protect(tmp_path, "embed", "s3://marked/set", *painted, "--dry-run")
    assert dry["output"] == "s3://marked/set-protected" and "set-protected" not in str(bucket.holds("marked").keys())
    done = _protect(tmp_path, "embed", "s3://marked/set", *painted, "--workers", "2")
    assert done["samples"] == forms.COUNT and done["carriers"] == dry["carriers"] > 0
    checked = _protect(tmp_path, "verify", "s3://marked/set-protected", "--workers", "2")
    assert checked["release"] == done["release"] and checked["intact"] == done["carriers"]
    found = _protect(tmp_path, "diff", "s3://marked/set", "s3://marked/set-protected", "--workers", "2")
    assert found["samples"] == forms.COUNT and len(found["changes"]) == done["carriers"]
    shown = _protect(tmp_path, "show", "s3://marked/set-protected", "--original", "s3://marked/set")
    assert len(shown["carriers"]) == done["carriers"]
    kept = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert ENVIRONMENT["AWS_SECRET_ACCESS_KEY"].encode() not in kept


def test_what_cannot_be_done_is_refused_in_two_lines(
    bucket: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "home"))
    bucket.fill("marked", make_folder(tmp_path / "loose", 3), "loose")
    bucket.fill("marked", forms.shards(tmp_path), "set")
    bucket.client().put_object(Bucket="marked", Key="mixed/a.jpg", Body=b"x")
    bucket.client().put_object(Bucket="marked", Key="mixed/a.tar", Body=bytes(10240))
    for words, said in (
        (["s3://marked/loose"], "no shards"),
        (["s3://marked/mixed"], "beside its shards"),
        (["s3://marked/nothing"], "does not exist"),
        (["s3://no-such-bucket/set"], "does not exist"),
        (["s3://marked/set/00000.tar"], "single file"),
        (["s3://marked/set", "-o", "s3://marked/loose"], "exists already"),
        (["s3://marked/set", "-o", "s3://marked/set/out"], "lies inside"),
        (["s3://marked/set", "-o", "s3://no-such-bucket/out"], "bucket s3://no-such-bucket does not exist"),
        (["s3://marked/set", "-o", "s3://other"], "whole bucket"),
        (["s3://marked/set", "--link"], "--link"),
        (["s3://user:the-secret-key-of-the-tests@marked/set"], "credentials"),
        (["s3://"], "no place"),
        (["s4://marked/set"], "unknown"),
        (["https://example.org/set"], "no bucket"),
    ):
        assert said in _refused(capsys, "embed", *words)
    assert not [name for name in bucket.holds("marked") if name.startswith(("set-protected", "out"))]


def test_a_dry_run_may_name_a_copy_that_is_there(
    bucket: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "home"))
    shards = forms.shards(tmp_path)
    for name in ("set", "there"):
        bucket.fill("marked", shards, name)
    before = bucket.holds("marked")
    words = ["protect", "embed", "s3://marked/set", "-o", "s3://marked/there", "--dry-run", "--anyway"]
    with patch.object(sys, "argv", words), pytest.raises(SystemExit) as stopped:
        run_app(protect_app, "protect")
    assert stopped.value.code == 0 and "would write s3://marked/there" in capsys.readouterr().out
    assert bucket.holds("marked") == before


def test_without_rights_nothing_is_begun(
    bucket: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from moto import settings

    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "home"))
    bucket.fill("marked", forms.shards(tmp_path), "set")
    with monkeypatch.context() as locked:
        locked.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0.0)
        from moto.core.responses import ActionAuthenticatorMixin

        locked.setattr(ActionAuthenticatorMixin, "request_count", 0)
        said = _refused(capsys, "embed", "s3://marked/set")
    assert "no right to use s3://marked/set" in said
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    forget_connections()
    assert "no right to use" in _refused(capsys, "embed", "s3://marked/set")


def test_a_shard_that_changes_is_another_one(bucket: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_CURRENT", 0.0)
    bucket.fill("marked", forms.shards(tmp_path), "set")
    dataset = open_dataset(place("s3://marked/set"))
    assert not dataset.shards[1].changed()
    data = bytearray((tmp_path / "set" / "00001.tar").read_bytes())
    data[-1] = 1  # the same size, within the same second
    bucket.client().put_object(Bucket="marked", Key="set/00001.tar", Body=bytes(data))
    assert dataset.shards[1].changed() and not dataset.shards[0].changed()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_kills(bucket: Service, tmp_path: Path) -> None:
    expected, rng, killed, number = _filled(forms.shards, bucket, tmp_path), random.Random(20), 0, 0
    CONTEXT.set_forkserver_preload(["protect.embed.copy", "tests.protect.embed.test_buckets"])
    environment = ENVIRONMENT | {"AWS_ENDPOINT_URL": bucket.url}
    while killed < 20:
        home = tmp_path / f"home-{number}"
        code = -1
        while code:
            process = CONTEXT.Process(target=_child, args=(environment, str(tmp_path / "scratch"), home))
            process.start()
            process.join(rng.uniform(0.5, 8) if killed < 20 else None)
            if process.is_alive() and process.pid:
                os.kill(process.pid, signal.SIGKILL)
                killed += 1
            process.join()
            code = process.exitcode or 0
        assert bucket.holds("marked", "out/") == expected
        for name in bucket.holds("marked"):
            if name.startswith("out"):
                bucket.client().delete_object(Bucket="marked", Key=name)
        number += 1
