#!/usr/bin/env python3
"""Duplicates across the borders of cells: how many of all pairs above 1 - epsilon `cribble dedup` finds, and what its default `--probe`
costs beside `--probe 1`, which compares inside cells only, as SemDeDup does.

Brute force (numpy, in blocks, every pair once, then f64 for those near or above the border) gives the truth; it is made once per data set and kept.
Of a pair, the later row of the scan must go (the order is the distance to the centroid that the run wrote down, farthest first). Found is a
pair whose later row shows a `max_sim` of at least the pair's; pairs within 1e-6 of the border are left out, since f32 may move them.
"""

import shutil
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import common
import gen_embeddings

NEAR = 1e-6  # half-width of the border that belongs to neither side
BLOCK = 8192


def all_pairs(folder, rows, epsilon):
    """(i, j, similarity) of all pairs i < j above 1 - epsilon - NEAR, and the seconds that finding them took."""
    kept = folder / f"pairs_{epsilon}.npz"
    if not kept.exists():
        began, found = time.perf_counter(), []
        for start in range(0, len(rows), BLOCK):
            for other in range(start, len(rows), BLOCK):
                sims = rows[start : start + BLOCK] @ rows[other : other + BLOCK].T
                i, j = np.nonzero(sims > 1 - epsilon - 1e-4)
                i, j = i + start, j + other
                found.append(np.stack([i, j])[:, i < j])
            print(f"\r  brute force: {min(len(rows), start + BLOCK)} of {len(rows)} rows", end="", file=sys.stderr)
        print(file=sys.stderr)
        i, j = np.concatenate(found, axis=1)
        sims = np.concatenate([np.einsum("nd,nd->n", rows[i[at : at + 65536]].astype(np.float64), rows[j[at : at + 65536]].astype(np.float64)) for at in range(0, len(i), 65536)] or [[]])
        wanted = sims > 1 - epsilon - NEAR
        np.savez(kept, i=i[wanted], j=j[wanted], sims=sims[wanted], seconds=time.perf_counter() - began)
    return np.load(kept)


def tables(run):
    """keep, max_sim and centroid_dist of all rows, in shard order."""
    parts = [pq.read_table(path, columns=["keep", "max_sim", "centroid_dist"]) for path in sorted((run / "steps/01-dedup").glob("*.parquet"))]
    return [np.concatenate([part[name].to_numpy(zero_copy_only=False) for part in parts]) for name in ("keep", "max_sim", "centroid_dist")]


def quality(run, truth, epsilon):
    keep, max_sim, dist = tables(run)
    i, j, sims = truth["i"], truth["j"], truth["sims"]
    sure = sims > 1 - epsilon + NEAR
    i, j, sims = i[sure], j[sure], sims[sure]
    # i < j, so of equal distances j is the later.
    later = np.where(dist[i] < dist[j], i, j)
    found = np.nan_to_num(max_sim[later], nan=-1.0) >= sims - NEAR
    doomed = np.unique(later)
    allowed = np.unique(np.concatenate([truth["i"], truth["j"]]))
    removed = np.flatnonzero(~keep.astype(bool))
    return {"pairs": len(sims), "pairs_found": int(found.sum()), "pair_recall": float(found.mean()), "rows_to_remove": len(doomed), "row_recall": float((~keep[doomed].astype(bool)).mean()),
            "removed": len(removed), "removed_without_a_pair": len(np.setdiff1d(removed, allowed))}


def main():
    parser = common.arguments(__doc__, rows=300_000, d=512, cells="auto", epsilon=0.05, probe=0)
    args = parser.parse_args()
    folder = gen_embeddings.ensure(args.rows, args.d, 1, args.data)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    sides = {"probe 1": ("borders_1", ["--probe", 1]), "cribble": ("borders_run", ["--probe", args.probe] if args.probe else [])}

    def side(name):
        run, flags = sides[name]

        def once(_):
            shutil.rmtree(out / run, ignore_errors=True)
            return common.run_process([args.cribble, "dedup", folder / "metadata", "--embedding", "l14_img", "--epsilon", args.epsilon, "--cells", args.cells, "--mode", "greedy",
                                       "--keep", "hard", *flags, "--threads", args.threads, "--out", out / run, "--json"], args.threads)

        return once

    results = common.alternate(args.rounds, {name: side(name) for name in sides})
    truth = all_pairs(folder, gen_embeddings.load(folder), args.epsilon)
    found = {name: quality(out / run, truth, args.epsilon) for name, (run, _) in sides.items()}
    times = {name: statistics.median(run["seconds"] for run in runs) for name, runs in results.items()}
    found["cribble"].update(times_probe_1=round(times["cribble"] / times["probe 1"], 3), brute_force_s=round(float(truth["seconds"]), 1))
    common.report(f"duplicates across borders, {args.rows} x {args.d}, epsilon {args.epsilon}, cells {args.cells}", args, results, args.rows, "rows", found, ["numpy"])


if __name__ == "__main__":
    sys.exit(main())
