#!/usr/bin/env python3
"""Semantic deduplication: SemDeDup's published scripts against `cribble dedup`.

The peer is the whole chain that a user runs: faiss k-means, sort_clusters.py, semdedup.py (its call of `append_cluster` on a list
repaired in memory). `--reference` is a checkout of facebookresearch/SemDeDup. Quality: of the planted pairs above
1 - epsilon, the share of which at least one row was removed; removed rows of ours that the peer keeps are expected, as cells differ.
"""

import argparse
import contextlib
import io
import json
import logging
import pickle
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import common
import gen_embeddings


def peer(args):
    import faiss
    import torch
    from recorder.common import RenameAttribute, checkout, import_path, load_module

    faiss.omp_set_num_threads(args.threads)
    torch.set_num_threads(args.threads)
    rows = gen_embeddings.load(gen_embeddings.ensure(args.n, args.d, 1, args.data))
    marks = [time.perf_counter()]
    kmeans = faiss.Kmeans(args.d, args.k, niter=args.iterations, spherical=True, seed=1)
    kmeans.train(rows)
    sims, nearest = kmeans.index.search(rows, 1)
    marks.append(time.perf_counter())
    with tempfile.TemporaryDirectory() as scratch:
        folder, _ = checkout(args.reference, scratch)
        work = Path(scratch) / "work"
        (work / "dataframes").mkdir(parents=True)
        for name, array in (("kmeans_centroids", kmeans.centroids), ("dist_to_cent", sims[:, 0]), ("nearest_cent", nearest[:, 0])):
            np.save(work / f"{name}.npy", array)
        rows.tofile(work / "embeddings.f32")
        names = np.array([f"{i:012d}" for i in range(args.n)])
        with import_path(folder / "clustering", folder), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            sorter, _ = load_module(folder / "clustering/sort_clusters.py", "bench_sort_clusters")
            sorter.assign_and_sort_clusters(rows, names, "cosine", True, True, str(work), str(work / "sorted"), range(args.k), logging.getLogger("bench"))
            marks.append(time.perf_counter())
            module, _ = load_module(folder / "semdedup.py", "bench_semdedup", [RenameAttribute("append_cluster", "append")])
            job = module.SemDeDupJob(argparse.Namespace(
                embs_memory_loc=str(work / "embeddings.f32"), dataset_size=args.n, emd_size=args.d, save_loc=str(work), sorted_clusters_path=str(work / "sorted"),
                eps_list=[args.epsilon], which_to_keep="hard", device="cpu", seed=1234, num_clusters=args.k, clusters_per_job=args.k), 0)
            job._process_shard(0, args.k)
        marks.append(time.perf_counter())
        removed = np.zeros(args.n, bool)
        for cluster in range(args.k):
            table = pickle.loads((work / f"dataframes/cluster_{cluster}.pkl").read_bytes())
            ids = np.load(work / f"sorted/cluster_{cluster}.npy")[table["indices"].to_numpy()][:, 1].astype(np.int64)
            removed[ids[table[f"eps={args.epsilon}"].to_numpy(bool)]] = True
    np.save(Path(args.out) / "semdedup_removed.npy", removed)
    print(json.dumps(dict(zip(("kmeans_s", "sort_s", "dedup_s"), np.diff(marks).round(4).tolist()))))


def our_removed(run):
    """Removed rows from the step's tables, in shard order."""
    import pyarrow.parquet as pq

    tables = sorted((run / "steps/01-dedup").glob("*.parquet"))
    return np.concatenate([~pq.read_table(path, columns=["keep"])["keep"].to_numpy().astype(bool) for path in tables])


def quality(removed, truth, epsilon):
    wanted = truth["cosine"] > 1 - epsilon + 0.002  # pairs on the border are left out: f16 moves them
    hit = removed[truth["row"][wanted]] | removed[truth["root"][wanted]]
    return {"removed": int(removed.sum()), "planted_pairs": int(wanted.sum()), "found": round(float(hit.mean()), 5)}


def main():
    parser = common.arguments(__doc__, n=300_000, d=512, k=500, iterations=20, epsilon=0.05, reference=None)
    args = parser.parse_args()
    if args.peer:
        return peer(args)
    if not args.reference:
        parser.error("--reference: a checkout of facebookresearch/SemDeDup")
    folder = gen_embeddings.ensure(args.n, args.d, 1, args.data)
    Path(args.out).mkdir(parents=True, exist_ok=True)
    run = Path(args.out) / "dedup_run"
    flags = ["--n", args.n, "--d", args.d, "--k", args.k, "--iterations", args.iterations, "--epsilon", args.epsilon, "--reference", args.reference]

    def ours(_):
        shutil.rmtree(run, ignore_errors=True)
        return common.run_process([args.cribble, "dedup", folder / "metadata", "--embedding", "l14_img", "--epsilon", args.epsilon, "--mode", "greedy", "--keep", "hard",
                                   "--cells", args.k, "--seed", 1, "--threads", args.threads, "--out", run, "--json"], args.threads)

    reference = lambda _: common.run_process(common.self_command(__file__, args, *flags), args.threads)
    results = common.alternate(args.rounds, common.sides_of(args, "SemDeDup", reference, ours))
    truth = np.load(folder / "truth.npz")
    found = {"SemDeDup": quality(np.load(Path(args.out) / "semdedup_removed.npy"), truth, args.epsilon)}
    if "cribble" in results:
        found["cribble"] = quality(our_removed(run), truth, args.epsilon)
    common.report(f"dedup {args.n} x {args.d}, {args.k} cells, epsilon {args.epsilon}", args, results, args.n, "rows", found, ["numpy", "faiss-cpu", "torch", "pandas"])


if __name__ == "__main__":
    sys.exit(main())
