#!/usr/bin/env python3
"""Quotas of density-based pruning. Two measurements:

`quotas.py --k 50000`: the quadratic program alone, against example `kernel_rate` of `cribble-math`. OSQP through qpsolvers with a sparse identity,
at the default tolerance, which prune.py leaves, and at a tight one; up to 10,000 clusters also with prune.py's dense `np.eye(k)`, which
would take 20 GB at 50,000. So the peer's first figure is kinder to it than the published program, and its clock starts after a small problem
has made it load its libraries, ours in a fresh process. Quality: does the sum of the rounded quotas meet
the target, are bounds kept, is the answer an optimum of the integer program (no sample moved from one cluster to another makes it better)?

`quotas.py --step --reference DIR`: the whole step after clustering. effective_pruning's scripts (a checkout of
amro-kamal/effective_pruning) on sorted cluster files against `cribble run` with cluster already done; reading and writing included.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import common
import gen_embeddings

DENSE = 10_000  # clusters up to which a dense identity is tried

CLUSTER = '[input]\npath = "{path}"\n\n[[step]]\nkind = "cluster"\nembedding = "l14_img"\nk = {k}\niterations = 10\nseed = 1\n'
PRUNE = '\n[[step]]\nkind = "prune"\nmethod = "density"\nfraction = {fraction}\ntemperature = {temperature}\nbalance = 0.0\nneighbors = 20\n'


def problem(args):
    """Invented clusters, long-tailed in size: (shares f64 [k], sizes u64 [k], lower [k], target)."""
    generator = np.random.default_rng(args.k)
    sizes = np.maximum(generator.lognormal(5.2, 0.9, args.k), 2).astype(np.uint64)
    complexity = generator.uniform(0.15, 0.8, args.k) * generator.uniform(0.1, 0.5, args.k)
    shares = np.exp((complexity - complexity.max()) / args.temperature)
    return shares / shares.sum(), sizes, np.minimum(1, sizes - 1), int(args.fraction * sizes.sum())


def solve(args):
    """The peer: OSQP as qpsolvers starts it, rounded as prune.py rounds."""
    import warnings

    from qpsolvers import solve_qp
    from scipy import sparse

    shares, sizes, lower, target = problem(args)
    row = np.ones(args.k) if args.form == "dense" else sparse.csc_matrix(np.ones((1, args.k)))
    wish, low, high = -shares * target, lower.astype(float), sizes.astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solve_qp(P=sparse.eye(2, format="csc"), q=np.ones(2), A=sparse.csc_matrix(np.ones((1, 2))), b=np.ones(1), lb=np.zeros(2), ub=np.ones(2), solver="osqp")
        start = time.perf_counter()
        eye = np.eye(args.k) if args.form == "dense" else sparse.eye(args.k, format="csc")
        tight = {"eps_abs": 1e-7, "eps_rel": 1e-9, "max_iter": 1_000_000} if args.form == "tight" else {}
        found = solve_qp(P=eye, q=wish, A=row, b=np.array([float(target)]), lb=low, ub=high, solver="osqp", **tight)
        seconds = time.perf_counter() - start
    if found is None:
        raise SystemExit("osqp found no answer")
    np.save(Path(args.out) / f"quotas_{args.form}.npy", np.rint(found).astype(np.int64))
    print(json.dumps({"work_s": seconds}))


def exactness(args, path):
    """Sum, bounds, and the optimum: no sample moved between two clusters may lower the sum of squares; and the distance to the real optimum."""
    from recorder.quotas import project

    shares, sizes, lower, target = problem(args)
    quotas = np.load(path).astype(np.int64)
    low, high, wish = lower.astype(np.int64), sizes.astype(np.int64), shares * target
    real = project(wish, low.astype(float), high.astype(float), target)[1]
    inside = bool(((quotas >= low) & (quotas <= high)).all())
    gain, loss = (quotas - wish)[quotas < high], (quotas - wish)[quotas > low]
    optimal = not (len(gain) and len(loss)) or bool(gain.min() + 1 >= loss.max() - 1e-6)
    drift = int(quotas.sum()) - target
    return {"target": target, "sum_minus_target": drift, "inside_bounds": inside, "largest_distance_to_optimum": round(float(np.abs(quotas - real).max()), 4),
            "exact": drift == 0 and inside and optimal}


def alone(args, out):
    shares, sizes, _, target = problem(args)
    np.save(out / "shares.npy", shares)
    np.save(out / "sizes.npy", sizes)
    flags = ["--k", args.k, "--fraction", args.fraction, "--temperature", args.temperature]
    ours = lambda _: common.run_process([args.binary, "quotas", target, 0.0, out / "shares.npy", out / "sizes.npy", out / "quotas_cribble.npy"], args.threads)
    osqp = lambda form: lambda _: common.run_process(common.self_command(__file__, args, *flags, "--form", form), args.threads)
    forms = {"OSQP": "sparse", "OSQP, tight": "tight", **({"OSQP, dense as published": "dense"} if args.k <= DENSE else {})}
    results = common.alternate(args.rounds, {**{name: osqp(form) for name, form in forms.items()}, "cribble": ours})
    found = {name: exactness(args, out / f"quotas_{form}.npy") for name, form in {**forms, "cribble": "cribble"}.items()}
    common.report(f"quotas of {args.k} clusters, keep {args.fraction}, temperature {args.temperature}", args, results, args.k, "clusters", found, ["numpy", "osqp", "qpsolvers"])


def prepare(args, target):
    """Sorted cluster files of a faiss clustering, in the reference's format (made by us: sorting is not what is timed here)."""
    import published

    centroids, sims, nearest = published.kmeans(gen_embeddings.load(gen_embeddings.ensure(args.rows, args.d, 1, args.data)), args.k, 10)
    (target / "sorted").mkdir(parents=True)
    for cluster in range(args.k):
        ids = np.flatnonzero(nearest == cluster)
        ids = ids[np.argsort(sims[ids], kind="stable")]
        np.save(target / f"sorted/cluster_{cluster}.npy", np.array([(f"{i // 10000:05d}/{i:09d}.jpg", str(i), str(float(1 - sims[i])), str(cluster)) for i in ids], "<U32"))
    np.save(target / "centroids.npy", centroids)


def prepared_at(args):
    return Path(args.data) / f"sorted_{args.rows}x{args.d}_{args.k}"


def published_step(args):
    import published
    from recorder.common import checkout

    data = prepared_at(args)
    with tempfile.TemporaryDirectory() as scratch:
        folder, _ = checkout(args.reference, scratch)
        marks = [time.perf_counter()]
        published.density_distances(folder, Path(scratch), data / "sorted", data / "centroids.npy", args.k, args.d)
        marks.append(time.perf_counter())
        quotas, _ = published.density_prune(folder, Path(scratch), data / "sorted", args.k, args.rows, args.fraction, args.temperature)
        marks.append(time.perf_counter())
    phases = dict(zip(("distances_s", "prune_s"), np.diff(marks).round(4).tolist()))
    print(json.dumps({**phases, "work_s": marks[-1] - marks[0], "target": int(args.fraction * args.rows), "sum_of_quotas": int(quotas.sum())}))


def step(args, out):
    folder = gen_embeddings.ensure(args.rows, args.d, 1, args.data)
    prepared = prepared_at(args)
    if not (prepared / "centroids.npy").exists():
        shutil.rmtree(prepared, ignore_errors=True)
        prepare(args, prepared)
    run, only_cluster, both = out / "prune_run", out / "cluster.toml", out / "prune.toml"
    only_cluster.write_text(CLUSTER.format(path=(folder / "metadata").resolve(), k=args.k))
    both.write_text(only_cluster.read_text() + PRUNE.format(fraction=args.fraction, temperature=args.temperature))
    flags = ["--step", "--rows", args.rows, "--d", args.d, "--k", args.k, "--fraction", args.fraction, "--temperature", args.temperature, "--reference", args.reference]

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
    common.report(f"prune {args.rows} rows in {args.k} clusters, keep {args.fraction}, temperature {args.temperature}", args, results, args.rows, "rows", found,
                  ["numpy", "osqp", "qpsolvers", "torch", "pygtrie"])


def main():
    parser = common.arguments(__doc__, rows=300_000, d=512, k=0, fraction=0.3, temperature=0.1, reference=None, binary=str(common.ROOT / "target/release/examples/kernel_rate"))
    parser.add_argument("--step", action="store_true", help="the whole step instead of the quadratic program alone")
    parser.add_argument("--form", default="sparse", help=argparse.SUPPRESS)  # for the peer's process
    args = parser.parse_args()
    args.k = args.k or (500 if args.step else 50_000)
    if args.step and not args.reference:
        parser.error("--reference: a checkout of amro-kamal/effective_pruning")
    if not args.step and not Path(args.binary).exists():
        parser.error(f"{args.binary} is not there: cargo build --release -p cribble-math --example kernel_rate")
    if args.peer:
        return published_step(args) if args.step else solve(args)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    return step(args, out) if args.step else alone(args, out)


if __name__ == "__main__":
    sys.exit(main())
