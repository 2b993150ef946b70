"""Vectors of quotas: prune.py's main (get_distances, softmax, QP, rounding) on invented densities and cluster sizes.

A reader may question `get_paths` being switched off: quotas need no sorted cluster files, so cases with hundreds of
clusters stay small. The exact projection is recorded beside the solver's answer, because the solver stops at a tolerance.
"""

import contextlib
import io
import warnings
from pathlib import Path

import numpy as np

from .common import versions, write_json
from .density import load_prune, prune_args

# name, k, temperature, balance, fraction, density, seed
INVENTED = [
    ("flat temperature", 8, 1.0, 0.0, 0.4, "dintra*dinter", 1),
    ("published defaults", 10, 0.5, 0.5, 0.8, "dintra*dinter", 2),
    ("paper's best", 100, 0.1, 0.0, 0.3, "dintra*dinter", 3),
    ("paper's best, k 500", 500, 0.1, 0.0, 0.3, "dintra*dinter", 4),
    ("sharp temperature", 50, 0.02, 0.0, 0.2, "dintra*dinter", 5),
    ("half balanced", 200, 0.1, 0.5, 0.3, "dinter*dintra", 6),
    ("fully balanced", 40, 0.1, 1.0, 0.25, "dintra*dinter", 7),
    ("few samples", 120, 0.1, 0.0, 0.02, "dintra*dinter", 8),
    ("nearly all", 60, 0.1, 0.25, 0.95, "dintra*dinter", 9),
    ("all", 30, 0.1, 0.0, 1.0, "dintra*dinter", 10),
    ("uniform", 80, 0.1, 0.0, 0.3, "uniform", 11),
    ("uniform, balanced", 25, 0.5, 0.75, 0.6, "uniform", 12),
    ("k 500, sharp, balanced", 500, 0.05, 0.25, 0.5, "dintra*dinter", 13),
    ("single rows among the clusters", 15, 0.1, 0.5, 0.5, "dintra*dinter", 14),
]
# name, complexity, sizes, target, temperature, balance: reference.md 1.2, and two targets that no quotas can meet
GIVEN = [
    ("golden 1", [0.2, 0.3, 0.4], [10, 100, 1000], 500, 0.1, 0.0),
    ("golden 2", [0.05, 0.3, 0.5], [50, 60, 400], 300, 0.1, 0.5),
    ("infeasible: target above all rows", [0.2, 0.3, 0.4], [10, 20, 30], 100, 0.1, 0.0),
    ("infeasible: target below one row a cluster", [0.2, 0.3, 0.4, 0.5], [10, 20, 30, 40], 2, 0.1, 0.0),
]
TARGETS = [(0.29, 100), (0.57, 100), (0.3, 300), (0.8, 50749149), (0.7, 10), (1.0, 7), (0.1, 9), (0.07, 1000), (0.35, 1280)]


def invent(k, seed, name):
    """d_inter, d_intra (f32 [k], three decimals) and long-tailed cluster sizes."""
    generator = np.random.default_rng(seed)
    d_inter = np.round(generator.uniform(0.15, 0.8, k), 3).astype(np.float32)
    d_intra = np.round(generator.uniform(0.1, 0.5, k), 3).astype(np.float32)
    sizes = np.maximum(np.round(2500 / (np.arange(k) + 2.7) ** 0.8), 2).astype(int)[generator.permutation(k)] + generator.integers(0, 9, k)
    if "single" in name:
        sizes[:3] = 1
    return d_inter, d_intra, sizes


def project(wanted, lower, upper, target):
    """Exact minimiser of the QP: clip(wanted + shift, lower, upper) summing to target, by bisection. Returns (shift, values)."""
    low, high = float((lower - wanted).min()), float((upper - wanted).max())
    for _ in range(200):
        shift = (low + high) / 2
        if np.clip(wanted + shift, lower, upper).sum() < target:
            low = shift
        else:
            high = shift
    return shift, np.clip(wanted + shift, lower, upper)


class Shape:
    """Stands for a loaded cluster file: prune.py asks only for its number of rows here."""

    def __init__(self, rows):
        self.shape = (int(rows), 4)


def solve(module, work, d_inter, d_intra, sizes, fraction, total, temperature, balance, density):
    """Run main and return what went into and came out of the solver."""
    captured = {}
    real = module.solve_qp

    def solve_qp(**problem):
        captured.update(problem)
        captured["x"] = real(**problem)
        if captured["x"] is not None:  # the same problem once more, solved to the end
            captured["tight"] = real(**problem, eps_abs=1e-9, eps_rel=1e-9, max_iter=1_000_000, polishing=True)
        return captured["x"]

    module.solve_qp = solve_qp
    module.load_arrays = lambda *_, **__: [Shape(size) for size in sizes]
    module.get_paths = lambda *_: ([], [], [])
    np.save(work / "d_inter.npy", d_inter)
    np.save(work / "d_intra.npy", d_intra)
    args = prune_args(num_centroids=len(sizes), temperature=temperature, prune_ratio=fraction, total_dataset_size=total, cls_bal_ratio=balance,
                      mean_centroid_distances_save_path=str(work / "d_inter.npy"), avg_distance_to_cent_save_path=str(work / "d_intra.npy"),
                      density=density, save_dir=str(work / "out"), save_output="False")
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module.main(args)
            captured["quotas"] = np.load(Path(args.save_dir) / f"number_of_points_to_keep_per_cluster_density_{density}.npy")
    except TypeError as error:  # the solver found no answer and returned None
        captured["error"] = f"TypeError: {error}"
    finally:
        module.solve_qp = real
    return captured


def case(module, work, name, d_inter, d_intra, sizes, fraction, total, temperature, balance, density):
    sizes = np.asarray(sizes)
    target = int(fraction * total)
    found = solve(module, work, d_inter, d_intra, sizes, fraction, total, temperature, balance, density)
    result = {"name": name, "k": len(sizes), "temperature": temperature, "balance": balance, "fraction": fraction, "total": total,
              "target": target, "density": density, "d_inter": d_inter, "d_intra": d_intra, "sizes": sizes}
    lower, upper = found["lb"].astype(float), found["ub"].astype(float)
    result["lower"] = found["lb"].astype(int)
    if "error" in found:
        assert not lower.sum() <= target <= upper.sum(), name
        return {**result, "feasible": False, "reference_outcome": found["error"]}
    wanted = -found["q"].astype(np.float64)
    shift, exact = project(wanted, lower, upper, target)
    tight = np.rint(found["tight"]).astype(int)
    worst = np.abs(found["tight"] - exact).max()
    if worst > 1e-3:
        raise SystemExit(f"{name}: the solver, run to the end, is {worst} away from the exact projection")
    return {**result, "feasible": True, "shares": (wanted / target).astype(np.float32), "quotas": found["quotas"], "quotas_sum": found["quotas"].sum(), "quotas_tight": tight, "quotas_tight_sum": tight.sum(),
            "within_one": bool(np.abs(found["quotas"] - exact).max() <= 1.0),
            "exact_shift": round(shift, 6), "exact": np.round(exact, 4), "solver_error": round(float(np.abs(found["x"] - exact).max()), 4)}


def record(folder, commit, out, scratch):
    """Write `quotas/vectors.json`."""
    work = scratch / "quotas"
    work.mkdir()
    module, repairs = load_prune(folder, None)
    cases = []
    for name, complexity, sizes, target, temperature, balance in GIVEN:
        ones = np.ones(len(sizes), np.float32)
        cases.append(case(module, work, name, np.array(complexity, np.float32), ones, sizes, 0.5, 2 * target, temperature, balance, "dintra*dinter"))
    for name, k, temperature, balance, fraction, density, seed in INVENTED:
        d_inter, d_intra, sizes = invent(k, seed, name)
        cases.append(case(module, work, name, d_inter, d_intra, sizes, fraction, int(sizes.sum()), temperature, balance, density))
    write_json(Path(out) / "quotas" / "vectors.json", {
        "kind": "reference", "source": "amro-kamal/effective_pruning", "commit": commit, "repairs": [*repairs, "get_paths switched off: only quotas are recorded"],
        "versions": versions("numpy", "torch", "osqp", "qpsolvers"),
        "targets": [{"fraction": fraction, "total": total, "target": int(fraction * total)} for fraction, total in TARGETS],
        "cases": cases,
    })
