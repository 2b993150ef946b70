#!/usr/bin/env python3
"""A CLIP-score threshold over metadata: DataComp's baselines.py against `cribble filter`.

`--reference` is a checkout of mlfoundations/datacomp. Both end with a sorted subset file. Quality: are its bytes the same?
"""

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import common

WORDS = np.array("a the old red small photo poster of with house lake bread ship street light summer vintage handmade wooden paper".split())


def generate(folder, files, rows):
    """Parquet files with DataComp's columns (no npz: neither side opens it here)."""
    folder.mkdir(parents=True)
    for part in range(files):
        generator = np.random.default_rng([5, part])
        raw = generator.integers(0, 256, (rows, 48), dtype=np.uint8)
        uids = [bytes(row[:16]).hex() for row in raw]
        captions = np.array([" ".join(generator.choice(WORDS, int(size))) for size in generator.integers(2, 14, 5000)])
        l14 = np.clip(generator.normal(0.19, 0.06, rows), -0.2, 0.5).astype(np.float32)
        pq.write_table(pa.table({
            "uid": uids, "url": [f"https://cdn{i % 89}.example.org/{uid[:16]}.jpg" for i, uid in enumerate(uids)], "text": captions[generator.integers(0, 5000, rows)],
            "original_width": generator.integers(80, 2000, rows), "original_height": generator.integers(80, 2000, rows),
            "clip_b32_similarity_score": (l14 + generator.normal(0.05, 0.03, rows)).astype(np.float32), "clip_l14_similarity_score": l14,
            "sha256": [bytes(row[16:]).hex() * 2 for row in raw],
        }), folder / f"{hashlib.md5(str(part).encode()).hexdigest()}.parquet")


def main():
    parser = common.arguments(__doc__, files=20, rows=100_000, threshold=0.24, reference=None)
    args = parser.parse_args()
    if not args.reference:
        parser.error("--reference: a checkout of mlfoundations/datacomp")
    from recorder.common import checkout
    from recorder.metadata import STUBS

    source = (Path(args.data) / f"meta_{args.files}x{args.rows}").resolve()
    if not source.exists():
        partial = source.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        generate(partial, args.files, args.rows)
        partial.rename(source)
    out = Path(args.out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    run, peer_subset = out / "filter_run", out / "baselines.npy"
    with tempfile.TemporaryDirectory() as scratch:
        folder, _ = checkout(args.reference, scratch)
        for name, text in STUBS.items():
            path = Path(scratch) / "stubs" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

        def reference(_):
            return common.run_process([sys.executable, "baselines.py", "--name", "clip_score", "--arch", "l14", "--threshold", args.threshold, "--metadata_dir", source,
                                       "--save_path", peer_subset, "--num_workers", args.threads], args.threads, cwd=folder, python_path=os.path.join(scratch, "stubs"))

        def ours(_):
            shutil.rmtree(run, ignore_errors=True)
            return common.run_process([args.cribble, "filter", source, "--where", f"clip_l14_similarity_score >= {args.threshold}", "--threads", args.threads, "--out", run,
                                       "--json"], args.threads)

        results = common.alternate(args.rounds, common.sides_of(args, "baselines.py", reference, ours))
    found = {"baselines.py": {"rows": len(np.load(peer_subset))}}
    if "cribble" in results:
        mine = run / "subset.npy"
        found["cribble"] = {"rows": len(np.load(mine)), "same_bytes": mine.read_bytes() == peer_subset.read_bytes()}
    total = args.files * args.rows
    common.report(f"clip_score >= {args.threshold} over {total} rows in {args.files} files", args, results, total, "rows", found, ["numpy", "pandas", "pyarrow", "torch"])


if __name__ == "__main__":
    sys.exit(main())
