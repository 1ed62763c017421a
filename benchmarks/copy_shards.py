"""What a copy of shards costs: archives beside `cp -r` and on Ray, parquet beside a plain rewrite, painting apart.

    python -m benchmarks.copy_shards --work W [--samples 50000] [--rounds 3]

As in `benchmarks.copy_forms`. What painting alone takes is measured on archives of as many samples as are painted
there, all of them carriers.
"""

from __future__ import annotations

import io
import shutil
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.common import Clock, counted_arguments, write_result
from benchmarks.copy_forms import DIFFERENT, bodies, caption, embedding, ratio, rounds
from benchmarks.embed_cost import PAINTED

SHARDS = 20
SHARE = 0.02
"""Of the samples that are painted."""


def make_archives(folder: Path, made: list[bytes], count: int) -> Path:
    """Archives of pictures and captions beside each other."""
    folder.mkdir(parents=True)
    each = count // SHARDS
    for shard in range(SHARDS):
        with tarfile.open(folder / f"{shard:05}.tar", "w") as out:
            for i in range(shard * each, (shard + 1) * each):
                for ending, body in (("jpg", made[i % len(made)]), ("txt", caption(i).encode())):
                    member = tarfile.TarInfo(f"{i:08}.{ending}")
                    member.size = len(body)
                    out.addfile(member, io.BytesIO(body))
    return folder


def make_parquet(folder: Path, made: list[bytes], count: int) -> Path:
    """Files with pictures inside, as `datasets` writes them."""
    (folder / "data").mkdir(parents=True)
    each, kind = count // SHARDS, pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    for shard in range(SHARDS):
        rows = range(shard * each, (shard + 1) * each)
        pictures = [{"bytes": made[i % len(made)], "path": f"{i:06}.jpg"} for i in rows]
        table = pa.table({"image": pa.array(pictures, kind), "text": [caption(i) for i in rows]})
        pq.write_table(table, folder / "data" / f"train-{shard:05}-of-{SHARDS:05}.parquet", row_group_size=100)
    return folder


REWRITE = """
import sys
from pathlib import Path
import pyarrow.parquet as pq
source, target = map(Path, sys.argv[1:])
target.mkdir()
for path in sorted(source.glob("data/*.parquet")):
    held = pq.ParquetFile(path)
    with pq.ParquetWriter(target / path.name, held.schema_arrow) as out:
        for group in range(held.num_row_groups):
            out.write_table(held.read_row_group(group))
"""


def archives(work: Path, made: list[bytes], count: int, number: int) -> dict[str, object]:
    """Archives beside `cp -r`, by two workers here and on Ray."""
    source, out = make_archives(work / "archives", made, count), work / "out"
    carriers = make_archives(work / "carriers", made, int(SHARE * count))
    commands = {
        "cp": ["cp", "-r", str(source), str(out)],
        "carriers alone": embedding(carriers, out, *PAINTED, "--rate", "1", "--workers", "2"),
        "two workers": embedding(source, out, *PAINTED, "--workers", "2"),
        "ray": embedding(source, out, *PAINTED, "--workers", "2", "--engine", "ray"),
    }
    rows = rounds(work, commands, number)
    for folder in (source, carriers):
        shutil.rmtree(folder)
    return {
        "samples": count,
        "shards": SHARDS,
        "rounds": rows,
        "painted to cp": ratio(rows, "two workers", "cp"),
        "carriers alone to cp": ratio(rows, "carriers alone", "cp"),
        "ray to two workers": ratio(rows, "ray", "two workers"),
        "seconds that ray takes longer": float(np.median([row["ray"] - row["two workers"] for row in rows])),
        "targets": "painted 1.5",
    }


def tables(work: Path, made: list[bytes], count: int, number: int) -> dict[str, object]:
    """Parquet beside a plain rewrite by pyarrow."""
    source, out = make_parquet(work / "parquet", made, count), work / "out"
    commands = {
        "rewrite": [sys.executable, "-c", REWRITE, str(source), str(out)],
        "painted": embedding(source, out, *PAINTED),
    }
    rows = rounds(work, commands, number)
    shutil.rmtree(source)
    return {
        "samples": count,
        "rounds": rows,
        "painted to a rewrite": ratio(rows, "painted", "rewrite"),
        "targets": "painted 2",
    }


def main() -> None:
    """Command line."""
    args = counted_arguments(__doc__, samples=50_000, rounds=3)
    clock = Clock()
    made = bodies(DIFFERENT, 384, 40.0)
    data = {
        "bytes of a picture": float(np.mean([len(body) for body in made])),
        "archives": archives(args.work, made, args.samples, args.rounds),
        "parquet": tables(args.work, made, args.samples, args.rounds),
    }
    write_result("copy_shards", data, clock())


if __name__ == "__main__":
    main()
