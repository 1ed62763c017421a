"""What a copy of a folder costs: choosing beside painting, copies beside links; looks and painting apart.

    python -m benchmarks.copy_forms --work W [--files 50000] [--rounds 3]

Rounds are interleaved, each command is a process of its own, and all it wrote is on disk when its clock stops. Pictures
are JPEGs of about 100 KB, 500 different ones. Painting is timed in this process, on one core, beside the
invisible-watermark package's dwtDct, which writes 32 bits; reading is what a test does with as many answers.
"""

from __future__ import annotations

import io
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from imwatermark import WatermarkDecoder, WatermarkEncoder
from PIL import Image

from benchmarks.common import Clock, counted_arguments, keyring_in, write_result
from benchmarks.embed_cost import PAINTED, measured, protect
from protect.marks.family import Pixels
from protect.marks.looks import LooksFit, glance, hold_looks
from protect.marks.shade import Shade
from protect.marks.spread import Spread

DIFFERENT = 500
STEPS = ("writes", "reads")


def bodies(count: int, side: int, noise: float) -> list[bytes]:
    """JPEGs as smooth as photographs, with noise on top."""
    rng, made = np.random.default_rng(0), []
    for _ in range(count):
        small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        smooth = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64)
        pixels = np.clip(smooth + rng.normal(0, noise, (side, side, 3)), 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
        made.append(buffer.getvalue())
    return made


def caption(number: int) -> str:
    """One with choices of words in it."""
    things = ("house", "tree", "boat", "street", "garden", "bridge", "table")
    return f"a photo of a {things[number % 7]} of number {number} with a {things[number // 7 % 7]} on the left"


def samples(made: list[bytes], count: int) -> Iterator[tuple[int, bytes, str]]:
    """Number, picture and caption of each."""
    return ((i, made[i % len(made)], caption(i)) for i in range(count))


def make_folder(folder: Path, made: list[bytes], count: int) -> Path:
    """Pictures with captions in one table."""
    folder.mkdir(parents=True)
    with (folder / "metadata.jsonl").open("w") as lines:
        for i, body, text in samples(made, count):
            (folder / f"{i:06}.jpg").write_bytes(body)
            lines.write(f'{{"file_name": "{i:06}.jpg", "text": "{text}"}}\n')
    return folder


def rounds(
    work: Path,
    commands: dict[str, list[str]],
    number: int,
    leaves: Sequence[str] = ("out", "home", "out.commitment.json"),
) -> list[dict[str, float]]:
    """Seconds of each command, interleaved; what it leaves is removed after each."""
    rows = []
    for _ in range(number):
        row = {}
        for name, command in commands.items():
            row[name], row[f"{name} MiB"] = measured(command, work / "home")
            for left in leaves:
                removed(work / left)
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
    return rows


def removed(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def ratio(rows: list[dict[str, float]], one: str, other: str, less: str | None = None) -> float:
    """Median over the rounds, without what is measured apart."""
    return float(np.median([(row[one] - (row[less] if less else 0)) / row[other] for row in rows]))


def embedding(source: Path, out: Path, *options: str) -> list[str]:
    """A command line that marks a copy."""
    return protect("embed", source, "-o", out, "--anyway", *options)


def folders(work: Path, made: list[bytes], count: int, number: int) -> dict[str, object]:
    """Files beside `cp -r`."""
    source, out = make_folder(work / "files", made, count), work / "out"
    commands = {
        "cp": ["cp", "-r", str(source), str(out)],
        "painted": embedding(source, out, *PAINTED),
        "lean": embedding(source, out),
        "lean, links": embedding(source, out, "--link"),
        "looks": [sys.executable, "-m", "benchmarks.looks_pass", str(source)],
    }
    rows = rounds(work, commands, number)
    shutil.rmtree(source)
    return {
        "files": count,
        "rounds": rows,
        "painted to cp": ratio(rows, "painted", "cp"),
        "lean to cp": ratio(rows, "lean", "cp"),
        "lean without its looks to cp": ratio(rows, "lean", "cp", "looks"),
        "lean with links to cp": ratio(rows, "lean, links", "cp"),
        "lean with links without its looks to cp": ratio(rows, "lean, links", "cp", "looks"),
        "looks to cp": ratio(rows, "looks", "cp"),
        "pictures a second looked at": float(np.median([count / row["looks"] for row in rows])),
        "targets": "painted 2, lean 1.3 and with links 0.3, both without their looks",
    }


def looks_of_large(work: Path, number: int) -> dict[str, object]:
    """Looks of JPEGs of one megapixel, by two processes; their start and the reading of the list included."""
    count = 4_000
    source = make_folder(work / "large", bodies(40, 1_024, 6.0), count)
    rows = rounds(work, {"looks": [sys.executable, "-m", "benchmarks.looks_pass", str(source)]}, number)
    shutil.rmtree(source)
    found = float(np.median([count / row["looks"] for row in rows]))
    return {"pictures": count, "pixels": 1_024**2, "rounds": rows, "pictures a second": found, "targets": "400"}


def painting(work: Path, number: int) -> dict[str, object]:
    """Writing and reading at 512 px beside dwtDct, on the same pictures and one core; milliseconds a picture."""
    held = [Image.open(io.BytesIO(body)).resize((512, 512)).convert("RGBA") for body in bodies(24, 384, 8.0)]
    pictures = np.stack([np.asarray(picture) for picture in held])
    fit, keyring = LooksFit(), keyring_in(work / "painting")
    seen = [np.asarray(Image.open(io.BytesIO(body))) for body in bodies(300, 64, 8.0)]
    fit.add(glance(np.stack(seen)))
    looks = fit.looks()
    spread = Spread()
    shade = Shade(looks=hold_looks(looks, keyring.store), store=keyring.store).of_words((0, 1, 2))
    package, reader = WatermarkEncoder(), WatermarkDecoder("bits", 32)
    package.set_watermark("bits", [0, 1] * 16)
    rng = np.random.default_rng(0)
    every: dict[str, tuple[Callable[[Pixels], object], Callable[[Pixels], object]]] = {
        "dwtDct": (
            lambda picture: package.encode(np.ascontiguousarray(picture[..., 2::-1]), "dwtDct"),
            lambda picture: reader.decode(np.ascontiguousarray(picture[..., 2::-1]), "dwtDct"),
        ),
        "spread": (
            lambda picture: spread.plant(picture, 1, rng),
            lambda picture: spread.features(picture[None, ..., :3], None),
        ),
        "shade": (
            lambda picture: shade.plant(picture, 1, rng),
            lambda picture: looks.of(picture[None, ..., :3]),
        ),
    }
    rows = [
        {
            f"{name} {what}": each(act, pictures)
            for name, both in every.items()
            for what, act in zip(STEPS, both, strict=True)
        }
        for _ in range(number)
    ]
    faster = {
        f"{name}, {what}": float(np.median([row[f"dwtDct {what}"] / row[f"{name} {what}"] for row in rows]))
        for name in ("spread", "shade")
        for what in STEPS
    }
    return {"pixels": 512, "pictures": len(pictures), "rounds": rows, "times as fast": faster, "targets": "5"}


def each(act: Callable[[Pixels], object], pictures: Pixels) -> float:
    """Milliseconds that a picture takes; the first one is not counted."""
    act(pictures[0])
    start = time.perf_counter()
    for picture in pictures:
        act(picture)
    return 1_000 * (time.perf_counter() - start) / len(pictures)


def main() -> None:
    """Command line."""
    args = counted_arguments(__doc__, files=50_000, rounds=3)
    clock, number = Clock(), args.rounds
    made = bodies(DIFFERENT, 384, 40.0)
    data = {
        "bytes of a picture": float(np.mean([len(body) for body in made])),
        "painting": painting(args.work, max(number, 5)),
        "looks of large pictures": looks_of_large(args.work, number),
        "folder": folders(args.work, made, args.files, number),
    }
    write_result("copy_forms", data, clock())


if __name__ == "__main__":
    main()
