"""The published scripts of SemDeDup and density-based pruning as steps of one process, as their user chains them.

Their files are run where their checkouts lie, repaired in memory as `parity/recorder/` does; no line of theirs is here.
"""

import argparse
import contextlib
import io
import logging
import pickle
from pathlib import Path

import numpy as np

import common  # noqa: F401  (puts parity/ on the path)
from recorder.common import RenameAttribute, import_path, load_module
from recorder.density import load_clusters, load_prune, prune_args


@contextlib.contextmanager
def silence():
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def kmeans(rows, k, iterations, seed=1):
    """faiss's spherical k-means as `compute_centroids` calls it: (centroids [k, d], similarity [n], label [n])."""
    import faiss

    trained = faiss.Kmeans(rows.shape[1], k, niter=iterations, spherical=True, seed=seed)
    trained.train(rows)
    sims, nearest = trained.index.search(rows, 1)
    return trained.centroids, sims[:, 0], nearest[:, 0]


def sort_clusters(folder, work, rows, names, found):
    """`sort_clusters.py`: WORK/sorted/cluster_*.npy, the farthest first. `found` is what `kmeans` gave."""
    for name, array in zip(("kmeans_centroids", "dist_to_cent", "nearest_cent"), found):
        np.save(work / f"{name}.npy", array)
    with import_path(folder / "clustering", folder), silence():
        sorter, _ = load_module(folder / "clustering/sort_clusters.py", "bench_sort_clusters")
        sorter.assign_and_sort_clusters(rows, names, "cosine", True, True, str(work), str(work / "sorted"), range(len(found[0])), logging.getLogger("bench"))


def semdedup(folder, work, shape, k, epsilon):
    """`semdedup.py` over WORK/embeddings.f32 and WORK/sorted: the removed rows as a mask."""
    n, d = shape
    (work / "dataframes").mkdir()
    with import_path(folder / "clustering", folder), silence():
        module, _ = load_module(folder / "semdedup.py", "bench_semdedup", [RenameAttribute("append_cluster", "append")])
        job = module.SemDeDupJob(argparse.Namespace(
            embs_memory_loc=str(work / "embeddings.f32"), dataset_size=n, emd_size=d, save_loc=str(work), sorted_clusters_path=str(work / "sorted"),
            eps_list=[epsilon], which_to_keep="hard", device="cpu", seed=1234, num_clusters=k, clusters_per_job=k), 0)
        job._process_shard(0, k)
    removed = np.zeros(n, bool)
    for cluster in range(k):
        table = pickle.loads((work / f"dataframes/cluster_{cluster}.pkl").read_bytes())
        ids = np.load(work / f"sorted/cluster_{cluster}.npy")[table["indices"].to_numpy()][:, 1].astype(np.int64)
        removed[ids[table[f"eps={epsilon}"].to_numpy(bool)]] = True
    return removed


def density_distances(folder, work, sorted_at, centroids_at, k, d, neighbours=20):
    """`compute_avg_dist_to_cluster_centroid.py` and `compute_centroid_distances.py`: WORK/d_intra.npy and WORK/d_inter.npy."""
    with import_path(folder), silence():
        average, _ = load_module(folder / "compute_avg_dist_to_cluster_centroid.py", "bench_average")
        average.compute_avg_dist_to_cluster_centroid(argparse.Namespace(
            num_clusters=k, sorted_clusters_path=str(sorted_at), avg_distance_to_cent_save_path=str(work / "d_intra.npy")))
        between, _ = load_module(folder / "compute_centroid_distances.py", "bench_between")
        between.compute_centroid_distances(argparse.Namespace(
            num_NNs=neighbours, centroids_file=str(centroids_at), mean_centroid_distances_save_path=str(work / "d_inter.npy"), dim=d))


def density_prune(folder, work, sorted_at, k, n, fraction, temperature):
    """`prune.py`'s main, trie included: (quotas [k], names kept)."""
    module, _ = load_prune(folder, load_clusters)
    options = prune_args(num_centroids=k, temperature=temperature, prune_ratio=fraction, total_dataset_size=n, cls_bal_ratio=0.0,
                         avg_distance_to_cent_save_path=str(work / "d_intra.npy"), mean_centroid_distances_save_path=str(work / "d_inter.npy"),
                         sorted_clusters_path=str(sorted_at), save_dir=str(work / "pruned"))
    with silence():
        module.main(options)
    output = Path(options.save_dir)
    return np.load(next(output.glob("number_of_points*.npy"))), (output / f"{options.name}_paths.pickle").read_text().split("\n")
