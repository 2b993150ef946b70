#!/usr/bin/env python3
"""Density-based pruning after clustering: effective_pruning's scripts against `cribble run` with cluster already done. Untested against our binary.

The peer reads sorted cluster files and runs d_intra, d_inter and prune.py's main (repaired in memory). `--reference` is a checkout of
amro-kamal/effective_pruning. Ours: one run does the cluster step; the timed run has the recipe with prune added, so that clustering
is skipped as already done. Quality: the sum of the quotas against the target, and the kept count.
"""

import contextlib
import io
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import common
import gen_embeddings

CLUSTER = '[input]\npath = "{path}"\n\n[[step]]\nkind = "cluster"\nembedding = "l14_img"\nk = {k}\niterations = 10\nseed = 1\n'
PRUNE = '\n[[step]]\nkind = "prune"\nmethod = "density"\nfraction = {fraction}\ntemperature = {temperature}\nbalance = 0.0\nneighbors = 20\n'


def prepare(args, target):
    """Sorted cluster files of a faiss clustering, in the reference's format (made by us: sorting is not what is timed here)."""
    import faiss

    rows = gen_embeddings.load(gen_embeddings.ensure(args.n, args.d, 1, args.data))
    kmeans = faiss.Kmeans(args.d, args.k, niter=10, spherical=True, seed=1)
    kmeans.train(rows)
    sims, nearest = kmeans.index.search(rows, 1)
    (target / "sorted").mkdir(parents=True)
    for cluster in range(args.k):
        ids = np.flatnonzero(nearest[:, 0] == cluster)
        ids = ids[np.argsort(sims[ids, 0], kind="stable")]
        np.save(target / f"sorted/cluster_{cluster}.npy", np.array([(f"{i // 10000:05d}/{i:09d}.jpg", str(i), str(float(1 - sims[i, 0])), str(cluster)) for i in ids], "<U32"))
    np.save(target / "centroids.npy", kmeans.centroids)


def peer(args):
    import argparse

    from recorder.common import checkout, import_path, load_module
    from recorder.density import load_clusters, load_prune, prune_args

    data = Path(args.data) / f"sorted_{args.n}x{args.d}_{args.k}"
    with tempfile.TemporaryDirectory() as scratch:
        folder, _ = checkout(args.reference, scratch)
        marks = [time.perf_counter()]
        with import_path(folder), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            average, _ = load_module(folder / "compute_avg_dist_to_cluster_centroid.py", "bench_average")
            average.compute_avg_dist_to_cluster_centroid(argparse.Namespace(
                num_clusters=args.k, sorted_clusters_path=str(data / "sorted"), avg_distance_to_cent_save_path=f"{scratch}/d_intra.npy"))
            marks.append(time.perf_counter())
            between, _ = load_module(folder / "compute_centroid_distances.py", "bench_between")
            between.compute_centroid_distances(argparse.Namespace(
                num_NNs=20, centroids_file=str(data / "centroids.npy"), mean_centroid_distances_save_path=f"{scratch}/d_inter.npy", dim=args.d))
            marks.append(time.perf_counter())
        module, _ = load_prune(folder, load_clusters)
        options = prune_args(num_centroids=args.k, temperature=args.temperature, prune_ratio=args.fraction, total_dataset_size=args.n, cls_bal_ratio=0.0,
                             avg_distance_to_cent_save_path=f"{scratch}/d_intra.npy", mean_centroid_distances_save_path=f"{scratch}/d_inter.npy",
                             sorted_clusters_path=str(data / "sorted"), save_dir=f"{scratch}/out")
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            module.main(options)
        marks.append(time.perf_counter())
        quotas = np.load(next(Path(options.save_dir).glob("number_of_points*.npy")))
    phases = dict(zip(("d_intra_s", "d_inter_s", "prune_s"), np.diff(marks).round(4).tolist()))
    print(json.dumps({**phases, "target": int(args.fraction * args.n), "sum_of_quotas": int(quotas.sum())}))


def main():
    parser = common.arguments(__doc__, n=300_000, d=512, k=500, fraction=0.3, temperature=0.1, reference=None)
    args = parser.parse_args()
    if args.peer:
        return peer(args)
    if not args.reference:
        parser.error("--reference: a checkout of amro-kamal/effective_pruning")
    folder = gen_embeddings.ensure(args.n, args.d, 1, args.data)
    prepared = Path(args.data) / f"sorted_{args.n}x{args.d}_{args.k}"
    if not (prepared / "centroids.npy").exists():
        shutil.rmtree(prepared, ignore_errors=True)
        prepare(args, prepared)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    run, only_cluster, both = out / "prune_run", out / "cluster.toml", out / "prune.toml"
    only_cluster.write_text(CLUSTER.format(path=(folder / "metadata").resolve(), k=args.k))
    both.write_text(only_cluster.read_text() + PRUNE.format(fraction=args.fraction, temperature=args.temperature))
    flags = ["--n", args.n, "--d", args.d, "--k", args.k, "--fraction", args.fraction, "--temperature", args.temperature, "--reference", args.reference]

    def ours(_):
        shutil.rmtree(run, ignore_errors=True)
        common.run_process([args.cribble, "run", only_cluster, "--out", run, "--threads", args.threads, "--json"], args.threads)
        return common.run_process([args.cribble, "run", both, "--out", run, "--threads", args.threads, "--json"], args.threads)

    reference = lambda _: common.run_process(common.self_command(__file__, args, *flags), args.threads)
    results = common.alternate(args.rounds, common.sides_of(args, "effective_pruning", reference, ours))
    inside = common.last_json(results["effective_pruning"][-1]["stdout"])
    found = {"effective_pruning": {key: inside[key] for key in ("target", "sum_of_quotas")}}
    if "cribble" in results:
        found["cribble"] = {"target": inside["target"], "subset_rows": len(np.load(run / "subset.npy"))}
    common.report(f"prune {args.n} rows in {args.k} clusters, keep {args.fraction}, temperature {args.temperature}", args, results, args.n, "rows", found,
                  ["numpy", "osqp", "qpsolvers", "torch", "pygtrie"])


if __name__ == "__main__":
    sys.exit(main())
