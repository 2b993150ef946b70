#!/usr/bin/env python3
"""Exact search for the 10 rows most like one: faiss IndexFlatIP on f32 in memory against `cribble search --uid` on f16 on disk, page cache warm.

    python bench/search.py --n 1000000

faiss searches query by query in one process that has read everything; `work_s` is its median for one query. We start a process for each query;
`work_s` is the median of what it reports of the search itself, `seconds` the whole process with start and output. The first query of each side
warms up and is not counted. With --index ours builds its index first and asks that; then the quality is recall. Quality: rows that faiss finds
and we do not, and of these those whose cosine in f64 is higher than ours at the same rank by more than f32 rounding.
"""

import json
import os
import shutil
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import common
import gen_embeddings

ROUNDING = 2e-6
K = 10


def query_rows(args):
    """Rows that ask, by seed; the first only warms up."""
    return np.random.default_rng(args.seed).permutation(args.n)[: args.queries + 1]


def warm(folder):
    """Drop the arrays from the page cache and read them again, as any first reader does. What NumPy has just written lies there in pages of 4 KiB,
    which the kernel copies at little more than half the speed of the larger ones that it makes when it reads ahead."""
    os.sync()
    for path in sorted((folder / "metadata").glob("*.npz")):
        with open(path, "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while file.read(1 << 24):
                pass


def peer(args):
    import faiss

    faiss.omp_set_num_threads(args.threads)
    start = time.perf_counter()
    rows = gen_embeddings.load(gen_embeddings.ensure(args.n, args.d, 1, args.data))
    index = faiss.IndexFlatIP(args.d)
    index.add(rows)
    read = time.perf_counter() - start
    seconds, found = [], []
    for row in query_rows(args):
        query = rows[row : row + 1].copy()
        begin = time.perf_counter()
        _, ids = index.search(query, K + 1)
        seconds.append(time.perf_counter() - begin)
        found.append([int(i) for i in ids[0] if i != row][:K])
    queries = rows[query_rows(args)[1:]].copy()
    begin = time.perf_counter()
    index.search(queries, K + 1)
    together = (time.perf_counter() - begin) / len(queries)
    print(json.dumps({"read_s": read, "work_s": statistics.median(seconds[1:]), "each_of_all_at_once_s": together}))
    Path(args.out, "search_faiss.json").write_text(json.dumps(found))


def main():
    parser = common.arguments(__doc__, n=1_000_000, d=512, queries=20, seed=3)
    parser.add_argument("--index", action="store_true", help="ours by its index of cells")
    args = parser.parse_args()
    if args.peer:
        return peer(args)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    folder = gen_embeddings.ensure(args.n, args.d, 1, args.data)
    uids = np.concatenate([pq.read_table(file, columns=["uid"])["uid"].to_numpy() for file in sorted((folder / "metadata").glob("*.parquet"))])
    number = {uid: row for row, uid in enumerate(uids)}
    run = out / f"search_run_{args.n}"
    if Path(args.cribble).exists() and not (run / "manifest.json").exists():
        shutil.rmtree(run, ignore_errors=True)
        common.run_process([args.cribble, "filter", folder / "metadata", "--where", "true", "--out", run, "-q"], args.threads)
    built = None
    if args.index and Path(args.cribble).exists():
        built = common.last_json(common.run_process([args.cribble, "search", run, "--index", "build", "--threads", args.threads, "--json"], args.threads)["stdout"])["index"]
        print(f"index: {built['cells']} cells, {built['probes']} looked at, {built['bytes'] / 2**20:.0f} MiB, {built['seconds']:.1f} s, {built['recall']}", file=sys.stderr)

    def ours(_):
        warm(folder)
        seconds, inside, found, peak = [], [], [], 0
        for row in query_rows(args):
            process = common.run_process([args.cribble, "search", run, "--uid", uids[row], "--limit", K, "--threads", args.threads,
                                          "--index", "auto" if args.index else "none", "--json"], args.threads)
            answer = common.last_json(process["stdout"])
            seconds.append(process["seconds"])
            inside.append(answer["seconds"])
            found.append([int(number[hit["uid"]]) for hit in answer["hits"]])
            peak = max(peak, process["peak_rss_mb"])
        Path(args.out, "search_cribble.json").write_text(json.dumps(found))
        return {"command": process["command"], "seconds": statistics.median(seconds[1:]), "peak_rss_mb": peak,
                "stdout": json.dumps({"work_s": statistics.median(inside[1:]), "slowest_s": max(inside[1:])})}

    flags = ["--n", args.n, "--d", args.d, "--queries", args.queries, "--seed", args.seed]
    faiss = lambda _: common.run_process(common.self_command(__file__, args, *flags), args.threads)
    results = common.alternate(args.rounds, common.sides_of(args, "faiss", faiss, ours))
    quality = {}
    if "cribble" in results:
        rows = gen_embeddings.load(folder)
        theirs, mine = (json.loads(Path(args.out, f"search_{side}.json").read_text()) for side in ("faiss", "cribble"))
        cosine = lambda a, b: float(rows[a].astype(np.float64) @ rows[b].astype(np.float64))
        missed = sum(len(set(t) - set(m)) for t, m in zip(theirs, mine))
        worse = sum(cosine(q, t) > cosine(q, m) + ROUNDING for q, ts, ms in zip(query_rows(args), theirs, mine) for t, m in zip(ts, ms))
        quality["cribble"] = {"hits": sum(map(len, mine)), "not_found_of_faiss": missed, "worse_than_rounding": worse, "index": built}
    common.report(f"search {args.n} x {args.d}, {args.queries} queries{', index' if args.index else ''}", args, results, args.n, "rows", quality,
                  ["numpy", "faiss-cpu"])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    sys.exit(main())
