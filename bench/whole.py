#!/usr/bin/env python3
"""The whole job: near duplicates out, cluster what is left, prune it by density, write the sorted subset of uids.

The peer is the chain of published programs in one process (so that Python and torch are imported once): faiss k-means, SemDeDup's
sort_clusters.py and semdedup.py, faiss k-means and sort_clusters.py again on what is left, density-based pruning's two distance scripts
and prune.py, then uids looked up and sorted. Ours is one `cribble run`. `--semdedup` and `--dbp` are checkouts of
facebookresearch/SemDeDup and amro-kamal/effective_pruning. Quality: rows against the target, and planted pairs of which both rows are left.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import common
import gen_embeddings

RECIPE = """[input]
path = "{path}"

[[step]]
kind = "dedup"
embedding = "l14_img"
epsilon = {epsilon}
cells = {cells}
seed = 1

[[step]]
kind = "cluster"
embedding = "l14_img"
k = {k}
iterations = {iterations}
train_rows = {train_rows}
seed = 1

[[step]]
kind = "prune"
method = "density"
fraction = {fraction}
temperature = {temperature}
balance = 0.0
neighbors = 20

[output]
subset = true
"""


def recipe(args, folder, rows):
    """Our recipe with the peer's parameters; faiss trains on at most 256 rows a centroid, so ours does too."""
    cells = args.cells if args.cells.isdigit() else f'"{args.cells}"'
    return RECIPE.format(path=(folder / "metadata").resolve(), epsilon=args.epsilon, cells=cells, k=args.k, iterations=args.iterations,
                         train_rows=min(rows, 256 * args.k), fraction=args.fraction, temperature=args.temperature)


def uids_of(folder):
    """Uids of all rows as DataComp's pairs of u64, [n]."""
    import pyarrow.parquet as pq

    tables = [pq.read_table(path, columns=["uid"])["uid"].to_pylist() for path in sorted((folder / "metadata").glob("*.parquet"))]
    return np.array([(int(uid[:16], 16), int(uid[16:], 16)) for table in tables for uid in table], "u8,u8")


def peer(args):
    import faiss
    import torch
    import published
    from recorder.common import checkout

    faiss.omp_set_num_threads(args.threads)
    torch.set_num_threads(args.threads)
    marks = [("start", time.perf_counter())]
    mark = lambda name: marks.append((name, time.perf_counter()))
    data = gen_embeddings.ensure(args.rows, args.d, 1, args.data)
    rows = gen_embeddings.load(data)
    with tempfile.TemporaryDirectory(dir=Path(args.out).resolve()) as scratch:
        (semdedup_at, _), (dbp_at, _) = checkout(args.semdedup, scratch), checkout(args.dbp, scratch)
        first, second = Path(scratch) / "first", Path(scratch) / "second"
        first.mkdir()
        second.mkdir()
        rows.tofile(first / "embeddings.f32")
        names = np.array([f"{i // 10000:05d}/{i:09d}.jpg" for i in range(len(rows))])
        mark("read_s")
        cells = int(args.cells)
        found = published.kmeans(rows, cells, args.iterations)
        mark("kmeans_s")
        published.sort_clusters(semdedup_at, first, rows, names, found)
        mark("sort_s")
        removed = published.semdedup(semdedup_at, first, rows.shape, cells, args.epsilon)
        mark("semdedup_s")
        left = np.flatnonzero(~removed)
        rows = rows[left]
        found = published.kmeans(rows, args.k, args.iterations)
        mark("kmeans_again_s")
        published.sort_clusters(semdedup_at, second, rows, names[left], found)
        mark("sort_again_s")
        published.density_distances(dbp_at, second, second / "sorted", second / "kmeans_centroids.npy", args.k, args.d)
        quotas, kept = published.density_prune(dbp_at, second, second / "sorted", args.k, len(left), args.fraction, args.temperature)
        mark("prune_s")
        chosen = np.array([int(name[6:15]) for name in kept])
        np.save(Path(args.out) / "whole_peer.npy", np.sort(uids_of(data)[chosen]))
        mark("subset_s")
    phases = {name: round(at - before, 3) for (_, before), (name, at) in zip(marks, marks[1:])}
    print(json.dumps({**phases, "work_s": round(marks[-1][1] - marks[0][1], 3), "left_by_dedup": len(left), "target": int(args.fraction * len(left)), "sum_of_quotas": int(quotas.sum())}))


def quality(data, subset, left, fraction, epsilon):
    """How many rows, how many were asked for, and the planted pairs above the border of which both are left."""
    truth = np.load(data / "truth.npz")
    kept = np.isin(uids_of(data), np.load(subset))
    wanted = truth["cosine"] > 1 - epsilon + 0.002  # pairs on the border are left out: f16 moves them
    both = kept[truth["row"][wanted]] & kept[truth["root"][wanted]]
    return {"left_by_dedup": left, "target": int(fraction * left), "rows": int(kept.sum()), "planted_pairs_left_whole": int(both.sum()), "of": int(wanted.sum())}


def main():
    parser = common.arguments(__doc__, rows=100_000, d=512, cells="1000", k=500, iterations=20, epsilon=0.05, fraction=0.3, temperature=0.1, semdedup=None, dbp=None)
    args = parser.parse_args()
    if args.peer:
        return peer(args)
    if not (args.semdedup and args.dbp):
        parser.error("--semdedup and --dbp: checkouts of facebookresearch/SemDeDup and amro-kamal/effective_pruning")
    data = gen_embeddings.ensure(args.rows, args.d, 1, args.data)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    run, written = out / "whole_run", out / "whole.toml"
    written.write_text(recipe(args, data, args.rows))
    names = ("rows", "d", "cells", "k", "iterations", "epsilon", "fraction", "temperature", "semdedup", "dbp")
    flags = [part for name in names for part in ("--" + name, getattr(args, name))]

    def ours(_):
        shutil.rmtree(run, ignore_errors=True)
        return common.run_process([args.cribble, "run", written, "--out", run, "--threads", args.threads, "--json"], args.threads)

    published = lambda _: common.run_process(common.self_command(__file__, args, *flags), args.threads)
    results = common.alternate(args.rounds, common.sides_of(args, "faiss + SemDeDup + DBP", published, ours))
    theirs = common.last_json(results["faiss + SemDeDup + DBP"][-1]["stdout"])
    found = {"faiss + SemDeDup + DBP": quality(data, out / "whole_peer.npy", theirs["left_by_dedup"], args.fraction, args.epsilon)}
    if "cribble" in results:
        left = json.loads((run / "report.json").read_text())["steps"][0]["kept"]
        found["cribble"] = quality(data, run / "subset.npy", left, args.fraction, args.epsilon)
    common.report(f"whole job {args.rows} x {args.d}: dedup in {args.cells} cells, k={args.k}, keep {args.fraction}", args, results, args.rows, "rows", found,
                  ["numpy", "faiss-cpu", "torch", "pandas", "osqp", "qpsolvers", "pygtrie"])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    sys.exit(main())
