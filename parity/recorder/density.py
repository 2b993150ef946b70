"""Vectors of density-based pruning from end to end on one small data set: d_intra, d_inter, quotas, names kept, trie.

A reader may question the stubs: prune.py imports a module that was never published and plots with matplotlib; the stubs
below are ours, load the same files that its own `get_paths` loads, and do no arithmetic.
"""

import argparse
import contextlib
import io
import json
import logging
import pickletools
import shutil
import sys
import types
from pathlib import Path
from unittest import mock

import numpy as np

from . import semdedup
from .common import import_path, load_module, unit, versions, write_json


def load_prune(folder, load_arrays):
    """The reference's prune.py as a module that can run. Returns (module, repairs)."""
    missing = types.ModuleType("cls_balance_pruning")
    missing.ssp_pruning = missing.random_pruning = None
    missing.load_arrays = load_arrays
    sys.modules["cls_balance_pruning"] = missing
    sys.modules["matplotlib"] = mock.MagicMock()
    sys.modules["matplotlib.pyplot"] = mock.MagicMock()
    with import_path(folder):
        module, repairs = load_module(folder / "prune.py", "parity_prune", names={"get_logger": lambda **_: logging.getLogger("parity")})
    return module, [*repairs, "cls_balance_pruning (never published): load_arrays supplied", "matplotlib replaced by a stub"]


def prune_args(**given):
    """prune.py's arguments as its own parser would give them, defaults included."""
    defaults = dict(num_centroids=10000, temperature=0.5, mean_centroid_distances_save_path="", avg_distance_to_cent_save_path="",
                    sorted_clusters_path="", total_dataset_size=50749149, which_to_keep="hard", prune_ratio=0.8, save_dir="",
                    density="dintra*dinter", pruning_method="qp", cls_bal_ratio=0.5, save_output="True")
    unknown = set(given) - set(defaults)
    assert not unknown, unknown
    return argparse.Namespace(**{**defaults, **given})


def load_clusters(path, count, logger=None):
    return [np.load(Path(path) / f"cluster_{i}.npy") for i in range(count)]


def make_data(seed):
    """300 rows in 9 clusters of unlike size and tightness; names as img2dataset's paths, a 4-character suffix each."""
    generator = np.random.default_rng(seed)
    sizes = [70, 52, 44, 38, 32, 26, 19, 12, 7]
    centres = unit(generator.standard_normal((9, 12)) + 0.8)
    tightness = generator.uniform(0.25, 1.2, 9)
    rows = np.concatenate([centres[c] + tightness[c] * generator.standard_normal((size, 12)) / np.sqrt(12) for c, size in enumerate(sizes)])
    rows = unit(rows[generator.permutation(len(rows))])
    labels, centroids = semdedup.lloyd(rows, centres)
    names = np.array([f"{i // 100:05d}/{i:09d}.jpg" for i in range(len(rows))])
    return semdedup.Data("", seed, rows, centroids, labels, names)


def find_data(start):
    for seed in range(start, start + 500):
        data = make_data(seed)
        _, order, nearest = data.margins()
        if order > semdedup.ORDER_MARGIN and nearest > 1e-4 and np.bincount(data.labels, minlength=9).min() > 3:
            return data
    raise SystemExit("no seed keeps the margins of the density data set")


def distances(folder, work, data, sorted_folder, neighbours):
    """d_intra and d_inter by the two published scripts."""
    with import_path(folder), contextlib.redirect_stdout(io.StringIO()):
        average, first = load_module(folder / "compute_avg_dist_to_cluster_centroid.py", "parity_average")
        between, second = load_module(folder / "compute_centroid_distances.py", "parity_between")
        average.compute_avg_dist_to_cluster_centroid(argparse.Namespace(
            num_clusters=len(data.centroids), sorted_clusters_path=str(sorted_folder), avg_distance_to_cent_save_path=str(work / "d_intra.npy")))
        np.save(work / "centroids.npy", data.centroids)
        between.compute_centroid_distances(argparse.Namespace(
            num_NNs=neighbours, centroids_file=str(work / "centroids.npy"), mean_centroid_distances_save_path=str(work / "d_inter.npy"),
            dim=data.centroids.shape[1]))
    return np.load(work / "d_intra.npy"), np.load(work / "d_inter.npy"), first + second


def wide_inter(folder, work, seed):
    """d_inter with the default of 20 neighbours on 60 centroids."""
    centroids = unit(np.random.default_rng(seed).standard_normal((60, 12)) + 0.5)
    np.save(work / "wide.npy", centroids)
    with import_path(folder), contextlib.redirect_stdout(io.StringIO()):
        between, _ = load_module(folder / "compute_centroid_distances.py", "parity_between")
        between.compute_centroid_distances(argparse.Namespace(num_NNs=20, centroids_file=str(work / "wide.npy"),
                                                              mean_centroid_distances_save_path=str(work / "wide_inter.npy"), dim=12))
    return {"neighbors": 20, "centroids": centroids, "d_inter": np.load(work / "wide_inter.npy")}


def run_prune(module, work, sorted_folder, data, keep, fraction, balance):
    """One whole run of prune.py's main. Returns the case and its output folder."""
    captured = {}
    real = module.solve_qp

    def solve_qp(**problem):
        captured.update(problem, x=real(**problem))
        return captured["x"]

    module.solve_qp = solve_qp
    save = work / f"prune_{keep}_{fraction}_{balance}"
    args = prune_args(num_centroids=len(data.centroids), temperature=0.1, mean_centroid_distances_save_path=str(work / "d_inter.npy"),
                      avg_distance_to_cent_save_path=str(work / "d_intra.npy"), sorted_clusters_path=str(sorted_folder),
                      total_dataset_size=len(data.labels), which_to_keep=keep, prune_ratio=fraction, cls_bal_ratio=balance, save_dir=str(save))
    with contextlib.redirect_stdout(io.StringIO()):
        module.main(args)
    module.solve_qp = real
    output = Path(args.save_dir)
    row_of = {str(name): row for row, name in enumerate(data.names)}
    kept = [row_of[name] for name in (output / f"{args.name}_paths.pickle").read_text().split("\n")]
    quotas = np.load(output / f"number_of_points_to_keep_per_cluster_density_{args.density}.npy")
    return {
        "keep": keep, "fraction": fraction, "balance": balance, "temperature": 0.1, "target": int(fraction * len(data.labels)),
        "shares": -captured["q"] / int(fraction * len(data.labels)), "lower": captured["lb"], "upper": captured["ub"],
        "quotas": quotas, "kept_rows_in_output_order": kept,
        "kept_rows_by_cluster": [[row for row in kept if data.labels[row] == c] for c in range(len(data.centroids))],
    }, output, args.name


def record(semdedup_at, dbp_at, out, scratch):
    """Write `density/`: embeddings, centroids, sorted clusters, `vectors.json`, and two tries pickled by the reference."""
    data = find_data(500)
    work = scratch / "density"
    work.mkdir()
    _, _, sorted_folder = semdedup.run_reference(semdedup_at[0], data, work, keep_modes=())
    d_intra, d_inter, repairs = distances(dbp_at[0], work, data, sorted_folder, neighbours=4)
    module, more = load_prune(dbp_at[0], load_clusters)
    target = Path(out) / "density"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(sorted_folder, target / "sorted")
    np.save(target / "embeddings.npy", data.embeddings)
    np.save(target / "kmeans_centroids.npy", data.centroids)
    cases = []
    for keep, fraction, balance in [("hard", 0.3, 0.0), ("easy", 0.3, 0.0), ("hard", 0.5, 0.5), ("easy", 0.17, 1.0)]:
        case, output, name = run_prune(module, work, sorted_folder, data, keep, fraction, balance)
        cases.append(case)
        if (keep, fraction) == ("hard", 0.3):
            shutil.copy(output / f"{name}_trie.txt", target / "paths_trie.txt")
            trie_name = f"{name}_trie.txt"
            np.save(target / "distances_stats.npy", np.load(output / "distances_stats.npy"))
    trie_names = [str(data.names[row]) for row in cases[0]["kept_rows_in_output_order"]]
    # The published builder cuts the last four characters off whatever it is given: of bare uids 28 are left.
    generator = np.random.default_rng(data.seed)
    uids = sorted(generator.bytes(16).hex() for _ in range(50))
    with import_path(dbp_at[0]), contextlib.redirect_stdout(io.StringIO()):
        utilities, _ = load_module(dbp_at[0] / "utils.py", "parity_utils")
        utilities.build_and_save_trie(uids, str(target / "bare_uids_trie.txt"))
    protocol = next(arg for op, arg, _ in pickletools.genops((target / "paths_trie.txt").read_bytes()) if op.name == "PROTO")
    write_json(target / "vectors.json", {
        "kind": "reference", "source": "amro-kamal/effective_pruning (sorted clusters by facebookresearch/SemDeDup)",
        "commit": dbp_at[1], "commit_semdedup": semdedup_at[1], "repairs": repairs + more,
        "versions": versions("numpy", "torch", "osqp", "qpsolvers", "pygtrie", "faiss-cpu"), "seed": data.seed,
        "n": len(data.labels), "d": 12, "k": len(data.centroids), "names": data.names, "labels": data.labels, "centroid_sim": data.centroid_sim,
        "sizes": np.bincount(data.labels, minlength=len(data.centroids)), "neighbors": 4, "d_intra": d_intra, "d_inter": d_inter,
        "wide": wide_inter(dbp_at[0], work, 7), "cases": cases,
        "tries": [
            {"file": "paths_trie.txt", "published_name": trie_name, "pickle_protocol": protocol, "built_from": trie_names,
             "keys": [name[:-4] for name in trie_names]},
            {"file": "bare_uids_trie.txt", "pickle_protocol": protocol, "built_from": uids, "keys": [uid[:-4] for uid in uids]},
        ],
    })
