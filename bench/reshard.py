#!/usr/bin/env python3
"""Resharding: DataComp's resharder.py, and `cp` of as many bytes as are kept, against `cribble reshard`.

`--reference` is a checkout of mlfoundations/datacomp, `--webdataset` a folder with webdataset 0.2.31. The pictures are random bytes of
JPEG size: neither side decodes them. Quality: samples written against samples requested.

`cp` copies the very tars that we wrote, so it knows where every byte lies, and leaves them in the page cache; we find them in all tars first
(headers of 2 GB), and sync what we write before it gets its name. Two more sides take the difference apart: `cp, synced` waits for the disk
too, and `cribble, plan only` is our run with `--dry-run`, which finds everything and writes nothing; the writing is what a run takes longer.
All sides read from the page cache; what earlier sides left to write is on the disk before each clock starts.
"""

import filecmp
import hashlib
import io
import itertools
import json
import os
import shutil
import statistics
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

import common


def generate(folder, shards, per_shard, seed):
    """Tars of jpg, json, txt with `_stats.json`, and a subset of 30% of the uids, sorted."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    pool = [generator.bytes(int(size)) for size in np.clip(generator.lognormal(9.6, 0.4, 256), 2000, 80_000)]
    uids = []
    for shard in range(shards):
        with tarfile.open(folder / f"{shard:08d}.tar", "w") as tar:
            for i in range(per_shard):
                uid = generator.bytes(16).hex()
                uids.append(uid)
                text = f"sample {i} of shard {shard}, {'word ' * int(generator.integers(1, 12))}"
                facts = {"uid": uid, "caption": text, "status": "success", "width": 256, "height": 256, "sha256": hashlib.sha256(uid.encode()).hexdigest()}
                for extension, data in (("jpg", pool[int(generator.integers(256))]), ("json", json.dumps(facts).encode()), ("txt", text.encode())):
                    info = tarfile.TarInfo(f"{shard:05d}{i:05d}.{extension}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        (folder / f"{shard:08d}_stats.json").write_text(json.dumps({"successes": per_shard}))
    wanted = [uid for uid in uids if generator.random() < 0.3]
    np.save(folder.parent / f"{folder.name}_subset.npy", np.sort(np.array([(int(uid[:16], 16), int(uid[16:], 16)) for uid in wanted], "u8,u8")))


def settle(folder):
    """Takes away what an earlier round wrote, and waits for the disk, so that no side pays for another's bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    os.sync()


def tars(folder):
    return sorted(Path(folder).glob("*.tar"))


def written(folder):
    return {"samples": sum(json.loads(path.read_text())["successes"] for path in Path(folder).glob("*_stats.json")), "tars": len(tars(folder)), "bytes": sum(path.stat().st_size for path in tars(folder))}


def main():
    parser = common.arguments(__doc__, shards=20, per_shard=5000, reference=None, webdataset=None)
    args = parser.parse_args()
    if not args.reference:
        parser.error("--reference: a checkout of mlfoundations/datacomp")
    from recorder.common import checkout
    from recorder.reshard import STUBS

    source = (Path(args.data) / f"tars_{args.shards}x{args.per_shard}").resolve()
    if not (source.parent / f"{source.name}_subset.npy").exists():
        shutil.rmtree(source, ignore_errors=True)
        generate(source, args.shards, args.per_shard, 3)
    subset = source.parent / f"{source.name}_subset.npy"
    out = Path(args.out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder, _ = checkout(args.reference, scratch)
        for name, text in STUBS.items():
            path = Path(scratch) / "stubs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        python_path = os.pathsep.join([f"{scratch}/stubs", *([str(Path(args.webdataset).resolve())] if args.webdataset else [])])

        def reference(_):
            settle(out / "resharded_peer")
            (out / "resharded_peer").mkdir()
            return common.run_process([sys.executable, "resharder.py", "-i", source, "-o", out / "resharded_peer", "-s", subset, "-j", args.threads, "-q"],
                                      args.threads, cwd=folder, python_path=python_path)

        def ours(folder, *more):
            settle(folder)
            return common.run_process([args.cribble, "reshard", "--input", source, "--subset", subset, "--output", folder, "--shard-size", 10000,
                                       "--threads", args.threads, "--json", *more], args.threads)

        def copied(command):
            settle(out / "copied")
            (out / "copied").mkdir()
            return common.run_process([*command, *tars(out / "kept"), out / "copied"], args.threads)

        sides = common.sides_of(args, "resharder.py", reference, lambda _: ours(out / "resharded"))
        if "cribble" in sides:
            ours(out / "kept")  # what cp copies; our first run, not counted
            sync = ["sh", "-c", 'cp "$@" && for last; do :; done && sync "$last"/*', "cp, synced"]
            sides = {"resharder.py": reference, "cp": lambda _: copied(["cp"]), "cp, synced": lambda _: copied(sync),
                     "cribble, plan only": lambda _: ours(out / "planned", "--dry-run"), **sides}
        results = common.alternate(args.rounds, sides)
    requested = len(np.load(subset))
    found = {"resharder.py": {"requested": requested, **written(out / "resharded_peer")}}
    if "cribble" in results:
        found["cribble"] = {"requested": requested, **written(out / "resharded")}
        pairs = list(itertools.zip_longest(tars(out / "kept"), tars(out / "resharded")))
        same = all(one and other and filecmp.cmp(one, other, shallow=False) for one, other in pairs)
        seconds = {name: statistics.median(run["seconds"] for run in runs) for name, runs in results.items()}
        writing = seconds["cribble"] - seconds["cribble, plan only"]
        copied_bytes = sum(path.stat().st_size for path in tars(out / "copied"))
        for name in ("cp", "cp, synced"):
            found[name] = {"bytes": copied_bytes, "same_bytes_in_every_round": same, "as_part_of_our_writing": round(seconds[name] / writing, 3)}
    total = args.shards * args.per_shard
    common.report(f"reshard {requested} of {total} samples in {args.shards} tars", args, results, total, "input samples", found, ["numpy", "pysimdjson"])


if __name__ == "__main__":
    sys.exit(main())
