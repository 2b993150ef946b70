#!/usr/bin/env python3
"""Assignment of all rows to given centroids: faiss IndexFlatIP (k=1) against example `kernel_rate` of `cribble-math`.

    cargo build --release -p cribble-math --example kernel_rate
    python bench/assign.py --k 500

Both processes read the same f32 arrays and write their labels. The centroids come from a few iterations of faiss.Kmeans: the work of
a search that is free to skip depends on them, so random ones would say nothing. Quality: labels that differ are scored again in f64; one
that loses by more than f32 rounding is wrong.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

import common
import gen_embeddings

ROUNDING = 2e-6  # two f32 sums of d products of unit rows, each within about sqrt(d) half-ulps


def files(args):
    data = Path(args.data)
    return data / f"rows_{args.rows}x{args.d}.npy", data / f"centroids_{args.rows}x{args.d}_{args.k}.npy"


def prepare(args):
    """Rows and centroids as f32 arrays, made once."""
    rows_at, centroids_at = files(args)
    if not rows_at.exists():
        np.save(rows_at, gen_embeddings.load(gen_embeddings.ensure(args.rows, args.d, 1, args.data)))
    if not centroids_at.exists():
        import faiss

        faiss.omp_set_num_threads(args.threads)
        rows = np.load(rows_at, mmap_mode="r")
        train = np.ascontiguousarray(rows[np.sort(np.random.default_rng(1).permutation(len(rows))[: 64 * args.k])])
        kmeans = faiss.Kmeans(args.d, args.k, niter=5, spherical=True, seed=1, min_points_per_centroid=1)
        kmeans.train(train)
        np.save(centroids_at, gen_embeddings.unit(kmeans.centroids))


def peer(args):
    import faiss

    faiss.omp_set_num_threads(args.threads)
    start = time.perf_counter()
    rows, centroids = (np.load(path) for path in files(args))
    index = faiss.IndexFlatIP(args.d)
    index.add(centroids)
    ready = time.perf_counter()
    labels = index.search(rows, 1)[1][:, 0]
    print(json.dumps({"read_s": ready - start, "work_s": time.perf_counter() - ready}))
    np.save(Path(args.out) / "assign_faiss.npy", labels.astype(np.uint32))


def compare(args):
    """Mean cosine by either side's labels, and for each side how many labels the other side's beat by more than rounding."""
    rows, centroids = (np.load(path, mmap_mode="r") for path in files(args))
    theirs, mine = (np.load(Path(args.out) / f"assign_{name}.npy") for name in ("faiss", "cribble"))
    sums, differ, lost = np.zeros(2), 0, np.zeros(2, int)
    for start in range(0, len(rows), 65536):
        part = np.asarray(rows[start : start + 65536], np.float64)
        sims = [np.einsum("nd,nd->n", part, centroids[labels[start : start + 65536]].astype(np.float64)) for labels in (theirs, mine)]
        gap = sims[0] - sims[1]
        differ += int((theirs[start : start + 65536] != mine[start : start + 65536]).sum())
        sums += [sims[0].sum(), sims[1].sum()]
        lost += [int((gap < -ROUNDING).sum()), int((gap > ROUNDING).sum())]
    return {name: {"mean_cosine": round(float(sums[i]) / len(rows), 8), "labels_that_differ": differ, "worse_than_the_other": int(lost[i])} for i, name in enumerate(("faiss", "cribble"))}


def main():
    parser = common.arguments(__doc__, rows=1_000_000, d=512, k=500, binary=str(common.ROOT / "target/release/examples/kernel_rate"))
    args = parser.parse_args()
    if args.peer:
        return peer(args)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    Path(args.data).mkdir(parents=True, exist_ok=True)
    if not Path(args.binary).exists():
        parser.error(f"{args.binary} is not there: cargo build --release -p cribble-math --example kernel_rate")
    prepare(args)
    faiss = lambda _: common.run_process(common.self_command(__file__, args, "--rows", args.rows, "--d", args.d, "--k", args.k), args.threads)
    ours = lambda _: common.run_process([args.binary, "nearest", args.threads, *files(args), out / "assign_cribble.npy"], args.threads)
    results = common.alternate(args.rounds, {"faiss": faiss, "cribble": ours})
    common.report(f"assignment of {args.rows} x {args.d} to {args.k} centroids", args, results, args.rows, "rows", compare(args), ["numpy", "faiss-cpu"])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    sys.exit(main())
