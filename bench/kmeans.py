#!/usr/bin/env python3
"""Spherical k-means: faiss.Kmeans against `cribble cluster`, and against the same training by example `kernel_rate` of `cribble-math`.

    cargo build --release -p cribble-math --example kernel_rate
    python bench/kmeans.py --n 1000000 --k 500

Whole processes: both read the same npz files, train on the same number of rows, assign all rows and write centroids. Work: training and
assignment alone, of f32 rows in memory on both sides (`kernel_rate` reads them from an array that is made once). Quality is measured here, by the
same code for both: mean cosine of all rows to their nearest centroid.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np

import common
import gen_embeddings


def peer(args):
    import faiss

    faiss.omp_set_num_threads(args.threads)
    start = time.perf_counter()
    rows = gen_embeddings.load(gen_embeddings.ensure(args.n, args.d, 1, args.data))
    read = time.perf_counter()
    per_centroid = 256 if args.train == "default" else 10**9
    kmeans = faiss.Kmeans(args.d, args.k, niter=args.iterations, spherical=True, seed=args.seed, max_points_per_centroid=per_centroid)
    kmeans.train(rows)
    trained = time.perf_counter()
    kmeans.index.search(rows, 1)
    assigned = time.perf_counter()
    np.save(Path(args.out) / "faiss_centroids.npy", kmeans.centroids)
    print(json.dumps({"read_s": read - start, "train_s": trained - read, "assign_s": assigned - trained, "work_s": assigned - read}))


def quality(rows, centroids):
    """Mean cosine to the nearest centroid, and the number of clusters that hold a row."""
    centroids = gen_embeddings.unit(np.load(centroids).astype(np.float32))
    total, used = 0.0, set()
    for start in range(0, len(rows), 16384):
        sims = rows[start : start + 16384] @ centroids.T
        best = sims.argmax(1)
        total += float(sims[np.arange(len(best)), best].sum(dtype=np.float64))
        used.update(np.unique(best).tolist())
    return {"mean_cosine": round(total / len(rows), 6), "clusters_used": len(used)}


def main():
    parser = common.arguments(__doc__, n=300_000, d=512, k=500, iterations=20, train="default", seed=1, binary=str(common.ROOT / "target/release/examples/kernel_rate"))
    args = parser.parse_args()
    if args.peer:
        return peer(args)
    folder = gen_embeddings.ensure(args.n, args.d, 1, args.data)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    train_rows = min(args.n, 256 * args.k) if args.train == "default" else "all"
    run = Path(args.out) / "kmeans_run"
    flags = ["--n", args.n, "--d", args.d, "--k", args.k, "--iterations", args.iterations, "--train", args.train]

    rows_at = Path(args.data) / f"rows_{args.n}x{args.d}.npy"
    if not rows_at.exists():
        np.save(rows_at, gen_embeddings.load(folder))

    def ours(turn):
        shutil.rmtree(run, ignore_errors=True)
        whole = common.run_process([args.cribble, "cluster", folder / "metadata", "--embedding", "l14_img", "--k", args.k, "--iterations", args.iterations,
                                   "--train-rows", train_rows, "--seed", args.seed + turn, "--threads", args.threads, "--out", run, "--json"], args.threads)
        alone = common.run_process([args.binary, "kmeans", args.threads, rows_at, args.k, args.iterations, args.n if train_rows == "all" else train_rows, args.seed + turn,
                                    Path(args.out) / "kernel_centroids.npy"], args.threads)
        return {**whole, "command": whole["command"] + "\n    " + alone["command"], "stdout": alone["stdout"]}

    faiss = lambda turn: common.run_process(common.self_command(__file__, args, *flags, "--seed", args.seed + turn), args.threads)
    results = common.alternate(args.rounds, common.sides_of(args, "faiss", faiss, ours))
    rows = gen_embeddings.load(folder)
    found = {"faiss": quality(rows, Path(args.out) / "faiss_centroids.npy")}
    if "cribble" in results:
        found["cribble"] = {**quality(rows, run / "steps/01-cluster/centroids.npy"), "of_kernel_rate": quality(rows, Path(args.out) / "kernel_centroids.npy")["mean_cosine"]}
    common.report(f"k-means {args.n} x {args.d}, k={args.k}, {args.iterations} iterations, {train_rows} training rows", args, results, args.n, "rows", found,
                  ["numpy", "faiss-cpu"])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    sys.exit(main())
