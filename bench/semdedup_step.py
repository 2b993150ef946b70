#!/usr/bin/env python3
"""SemDeDup's step alone, on given cells: its published `semdedup` in torch against example `kernel_rate` of `cribble-math`.

    cargo build --release -p cribble-math --example kernel_rate
    python bench/semdedup_step.py --k 500 --reference SEMDEDUP

Both get the same cells of faiss.Kmeans in the same order (hard examples first, as `sort_clusters.py` has them). Timed is the search itself: for the peer the
calls of `semdedup` (X·Xᵀ, triu, max) on tensors that are in memory already, for us everything from the f16 rows in memory to the removals. Quality: removals that
differ, and how far from 1 - epsilon their similarities are in f64: the peer's are f32 sums, which are right to about 1e-6.
"""

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import common
import gen_embeddings


def files(args):
    stem = f"{args.rows}x{args.d}"
    return [Path(args.data) / name for name in (f"halves_{stem}.npy", f"order_{stem}_{args.k}.npy", f"sizes_{stem}_{args.k}.npy")]


def unit(halves):
    return gen_embeddings.unit(halves.astype(np.float32))


def prepare(args):
    """Rows as they are stored (f16), and the cells of faiss.Kmeans on them: rows by cell, in each the farthest from the centroid first."""
    halves_at, order_at, sizes_at = files(args)
    if not halves_at.exists():
        folder = gen_embeddings.ensure(args.rows, args.d, 1, args.data)
        np.save(halves_at, np.concatenate([np.load(path)["l14_img"] for path in sorted((folder / "metadata").glob("*.npz"))]))
    if order_at.exists():
        return
    import faiss

    faiss.omp_set_num_threads(args.threads)
    rows = unit(np.load(halves_at))
    kmeans = faiss.Kmeans(args.d, args.k, niter=20, spherical=True, seed=1)
    kmeans.train(rows)
    sims, nearest = kmeans.index.search(rows, 1)
    np.save(order_at, np.lexsort((np.arange(len(rows)), sims[:, 0], nearest[:, 0])).astype(np.uint32))
    np.save(sizes_at, np.bincount(nearest[:, 0], minlength=args.k).astype(np.uint32))


def peer(args):
    import torch
    from recorder.common import RenameAttribute, checkout, import_path, load_module

    torch.set_num_threads(args.threads)
    halves, order, sizes = (np.load(path) for path in files(args))
    rows = unit(halves)
    del halves
    with tempfile.TemporaryDirectory() as scratch:
        folder, _ = checkout(args.reference, scratch)
        with import_path(folder):
            module, _ = load_module(folder / "semdedup.py", "bench_semdedup_step", [RenameAttribute("append_cluster", "append")])
        job = module.SemDeDupJob(argparse.Namespace(clusters_per_job=args.k, seed=1), 0)
        removed, seconds, start = [], 0.0, 0
        for size in sizes:
            if size == 0:
                continue
            cell = order[start : start + size]
            start += size
            tensor, names = torch.tensor(rows[cell]), np.stack([cell, cell], axis=1)
            with contextlib.redirect_stdout(io.StringIO()):
                began = time.perf_counter()
                largest = job.semdedup(names, tensor, "cpu")
                seconds += time.perf_counter() - began
            removed.append((largest > 1 - args.epsilon).numpy())
    np.save(Path(args.out) / "step_SemDeDup.npy", np.concatenate(removed).astype(np.uint8))
    print(json.dumps({"work_s": seconds}))


def compare(args):
    """Removals of both, those that differ, and the largest distance of such a row's similarity (f64) from the threshold."""
    halves, order, sizes = (np.load(path, mmap_mode="r") for path in files(args))
    theirs, mine = (np.load(Path(args.out) / f"step_{name}.npy").astype(bool) for name in ("SemDeDup", "cribble"))
    ends, gaps = np.cumsum(sizes), []
    for place in np.flatnonzero(theirs != mine):
        cell = int(np.searchsorted(ends, place, side="right"))
        before = np.asarray(halves[order[ends[cell] - sizes[cell] : place + 1]], np.float64)
        before /= np.linalg.norm(before, axis=1, keepdims=True)
        gaps.append(abs(float((before[:-1] @ before[-1]).max()) - (1 - args.epsilon)))
    differ = {"removals_that_differ": len(gaps), "farthest_from_the_threshold": max(gaps, default=0.0)}
    return {name: {"removed": int(found.sum()), **differ} for name, found in (("SemDeDup", theirs), ("cribble", mine))}


def main():
    parser = common.arguments(__doc__, rows=300_000, d=512, k=500, epsilon=0.05, reference=None, binary=str(common.ROOT / "target/release/examples/kernel_rate"))
    args = parser.parse_args()
    if args.peer:
        return peer(args)
    if not args.reference:
        parser.error("--reference: a checkout of facebookresearch/SemDeDup")
    Path(args.out).mkdir(parents=True, exist_ok=True)
    prepare(args)
    flags = ["--rows", args.rows, "--d", args.d, "--k", args.k, "--epsilon", args.epsilon, "--reference", args.reference]
    theirs = lambda _: common.run_process(common.self_command(__file__, args, *flags), args.threads)
    halves, order, sizes = files(args)
    mine = lambda _: common.run_process([args.binary, "dedup", args.threads, halves, order, sizes, args.epsilon, Path(args.out) / "step_cribble.npy"], args.threads)
    results = common.alternate(args.rounds, {"SemDeDup": theirs, "cribble": mine})
    title = f"SemDeDup's step {args.rows} x {args.d}, {args.k} cells, epsilon {args.epsilon}"
    common.report(title, args, results, args.rows, "rows", compare(args), ["numpy", "torch"])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    sys.exit(main())
