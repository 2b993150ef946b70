#!/usr/bin/env python3
"""One pass of scikit-learn's MiniBatchKMeans.partial_fit, file by file as luvdatacomp makes it, against `cribble cluster`.

The peer only trains (k-means++, batch max(1024, 256 x cores), f32, one file at a time); ours trains, assigns every row and writes
its tables in the timed process. Quality, over all rows by one piece of code: mean cosine to the nearest centroid (of unit length), and the
mean squared distance to the mean of one's cluster, which does not depend on how long either side leaves its centroids.
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
    from sklearn.cluster import MiniBatchKMeans

    shards = sorted((gen_embeddings.ensure(args.rows, args.d, 1, args.data) / "metadata").glob("*.npz"))
    kmeans = MiniBatchKMeans(init="k-means++", n_clusters=args.k, n_init="auto", batch_size=max(1024, 256 * args.threads), random_state=args.seed)
    start, fit = time.perf_counter(), 0.0
    for shard in shards:
        rows = np.load(shard)["l14_img"].astype(np.float32)
        began = time.perf_counter()
        kmeans.partial_fit(rows)
        fit += time.perf_counter() - began
    print(json.dumps({"work_s": time.perf_counter() - start, "fit_s": fit}))
    np.save(Path(args.out) / "minibatch_centroids.npy", kmeans.cluster_centers_)


def quality(rows, centroids, euclidean):
    """Objectives of the partition by nearest centroid, by Euclidean distance or by cosine: each side by its own rule."""
    raw = np.load(centroids).astype(np.float32)
    unit = gen_embeddings.unit(raw)
    half_squares = (raw**2).sum(1) / 2 if euclidean else 0.0
    sums, sizes, cosine = np.zeros(raw.shape), np.zeros(len(raw), int), 0.0
    for start in range(0, len(rows), 16384):
        part = rows[start : start + 16384]
        labels = (part @ (raw if euclidean else unit).T - half_squares).argmax(1)
        order = np.argsort(labels, kind="stable")
        present, first = np.unique(labels[order], return_index=True)
        sums[present] += np.add.reduceat(part[order].astype(np.float64), first)
        sizes += np.bincount(labels, minlength=len(raw))
        cosine += float((part @ unit.T).max(1).sum(dtype=np.float64))
    used = sizes > 0
    within = 1 - ((sums[used] ** 2).sum(1) / sizes[used]).sum() / len(rows)
    return {"mean_cosine": round(cosine / len(rows), 6), "mean_squared_distance": round(float(within), 6), "clusters_used": int(used.sum())}


def main():
    parser = common.arguments(__doc__, rows=300_000, d=512, k=1300, iterations=0, train_rows="", seed=1)
    args = parser.parse_args()
    if args.peer:
        return peer(args)
    folder = gen_embeddings.ensure(args.rows, args.d, 1, args.data)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    run = Path(args.out) / "minibatch_run"
    flags = ["--rows", args.rows, "--d", args.d, "--k", args.k]
    own = [*(["--iterations", args.iterations] if args.iterations else []), *(["--train-rows", args.train_rows] if args.train_rows else [])]

    def ours(turn):
        shutil.rmtree(run, ignore_errors=True)
        return common.run_process([args.cribble, "cluster", folder / "metadata", "--embedding", "l14_img", "--k", args.k, *own, "--seed", args.seed + turn,
                                   "--threads", args.threads, "--out", run, "--json"], args.threads)

    sklearn = lambda turn: common.run_process(common.self_command(__file__, args, *flags, "--seed", args.seed + turn), args.threads)
    results = common.alternate(args.rounds, common.sides_of(args, "scikit-learn", sklearn, ours))
    rows = gen_embeddings.load(folder)
    found = {"scikit-learn": quality(rows, Path(args.out) / "minibatch_centroids.npy", True)}
    if "cribble" in results:
        found["cribble"] = quality(rows, run / "steps/01-cluster/centroids.npy", False)
    common.report(f"mini-batch pass {args.rows} x {args.d}, k={args.k}", args, results, args.rows, "rows", found, ["numpy", "scikit-learn"])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    sys.exit(main())
