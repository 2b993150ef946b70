#!/usr/bin/env python3
"""Reads Cribble's outputs with the packages and scripts that other people will read them with.

    python parity/check_outputs.py --subset RUN/subset.npy --shards RUN/shards --sorted-clusters DIR --trie FILE --trie-keys FILE ...

Every check is optional; each prints what it verified. Exit code 0: all passed, 1: a mismatch, 2: nothing to do or a package
is missing. With --semdedup, --dbp or --datacomp (git checkouts) the published code itself reads the file as well.
"""

import argparse
import contextlib
import hashlib
import io
import json
import pickle
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))
from recorder import common  # noqa: E402

SUBSET_DTYPE = np.dtype("u8,u8")


class Mismatch(Exception):
    """An output is not what its readers expect."""


def require(condition, text):
    if not condition:
        raise Mismatch(text)


def uid_text(row):
    return f"{int(row[0]):016x}{int(row[1]):016x}"


def check_subset(path, against, datacomp):
    """dtype, order, DataComp's own loader (with header and without), and the bytes of a recorded file."""
    subset = np.load(path, allow_pickle=False)
    require(subset.dtype == SUBSET_DTYPE, f"{path}: dtype is {subset.dtype}, expected {SUBSET_DTYPE}")
    require(subset.ndim == 1, f"{path}: shape is {subset.shape}, expected one dimension")
    require(bool((np.sort(subset) == subset).all()), f"{path}: not sorted, DataComp's resharder would lose samples silently")
    print(f"subset {path}: {len(subset)} rows of u8,u8, sorted, {len(subset) - len(np.unique(subset))} copies")
    if datacomp:
        names = {"np": np, "u16": SUBSET_DTYPE, "CloudPath": type("CloudPath", (), {}), "Path": Path}
        load_subset = common.load_function(datacomp / "resharder.py", "load_subset", names)
        require(bool((load_subset(subset_file=Path(path)) == subset).all()), f"{path}: resharder.py reads other rows")
        if len(subset):
            with tempfile.NamedTemporaryFile(suffix=".bin") as raw:
                raw.write(subset.tobytes())
                raw.flush()
                require(bool((load_subset(subset_file=Path(raw.name)) == subset).all()), f"{path}: differs when read without a header")
        print("  resharder.py's load_subset reads the same rows, with header and without")
    if against:
        require(Path(path).read_bytes() == Path(against).read_bytes(), f"{path}: bytes differ from {against}")
        print(f"  the same bytes as {against}")
    return subset


def check_captions(folder):
    """What open_clip's --json-text-key reads: the fields that reshard.json names, as texts with something in them."""
    import webdataset as wds

    report = json.loads((Path(folder) / "reshard.json").read_text())["report"]["captions"]
    with_fields = txt_best = 0
    for tar in sorted(Path(folder).glob("*.tar")):
        for sample in wds.WebDataset(str(tar), shardshuffle=False, empty_check=False).decode():
            fields = sample["json"] if "json" in sample else {}
            made = [name for name in report["fields"] if name in fields]
            with_fields += bool(made)
            if made:
                texts = [fields[key] for key in report["text_keys"] if isinstance(fields.get(key), str) and fields[key].strip()]
                require(texts, f"{tar}: {sample['__key__']} has {made}, but none of {report['text_keys']} is a text")
            if report["txt"] == "best" and fields.get("caption_best", "").strip():
                require(sample["txt"] == fields["caption_best"], f"{tar}: the text of {sample['__key__']} is not its caption_best")
                txt_best += 1
    require(with_fields >= report["samples"], f"{folder}: {with_fields} samples with captions, reshard.json says {report['samples']}")
    require(txt_best == report["txt_best"], f"{folder}: {txt_best} best texts, reshard.json says {report['txt_best']}")
    print(f"  captions: {with_fields} samples with {', '.join(report['fields'])}; {txt_best} with the best as their text")


def check_shards(folder, subset, allow_missing, vectors):
    """Iterates all tars with the webdataset package: keys, json, member hashes, counts, and the copies that a subset asks for."""
    import webdataset as wds

    tars = sorted(Path(folder).glob("*.tar"))
    require(tars, f"{folder}: no tar")
    seen, members, per_shard = Counter(), Counter(), {}
    keys = set()
    sizes_path = Path(folder) / "sizes.json"
    sizes = json.loads(sizes_path.read_text()) if sizes_path.exists() else None
    for tar in tars:
        count = 0
        for sample in wds.WebDataset(str(tar), shardshuffle=False, empty_check=False):
            key = sample["__key__"]
            require(key not in keys, f"{tar}: key {key} comes twice")
            require("." not in key, f"{tar}: key {key} has a dot, so readers cut it there")
            keys.add(key)
            require("json" in sample, f"{tar}: {key} has no json")
            uid = json.loads(sample["json"]).get("uid") or key.rsplit("-", 1)[0]
            seen[uid] += 1
            for name in (name for name in sample if not name.startswith("__")):
                members[(uid, name, hashlib.sha256(sample[name]).hexdigest())] += 1
            count += 1
        stats = Path(folder) / f"{tar.stem}_stats.json"
        if stats.exists():
            written = json.loads(stats.read_text())["successes"]
            require(written == count, f"{stats}: says {written} samples, the tar has {count}")
        if sizes is not None:
            require(sizes.get(tar.name) == count, f"{sizes_path}: says {sizes.get(tar.name)} for {tar.name}, the tar has {count}")
        per_shard[tar.name] = count
    print(f"shards {folder}: webdataset {wds.__version__} reads {sum(per_shard.values())} samples of {len(tars)} tars, "
          f"keys unique, json valid, counts agree with the stats files{' and sizes.json' if sizes is not None else ''}")
    summary = Path(folder) / "reshard.json"
    if summary.exists() and "captions" in json.loads(summary.read_text())["report"]:
        check_captions(folder)
    if subset is not None:
        wanted = Counter(uid_text(row) for row in subset.tolist())
        missing = sum((wanted - seen).values())
        require(not seen - wanted, f"{folder}: {sum((seen - wanted).values())} samples that the subset does not ask for")
        require(missing <= allow_missing, f"{folder}: {missing} of {sum(wanted.values())} requested samples are missing (allowed: {allow_missing})")
        print(f"  {sum(seen.values())} of {sum(wanted.values())} requested samples present, none too many, {missing} missing")
    if vectors:
        recorded = json.loads(Path(vectors).read_text())
        expected = Counter((sample["key"].rsplit("-", 1)[0], member["name"], member["sha256"])
                           for shard in recorded["shards"] for sample in shard["samples"] for member in sample["members"])
        require(members == expected, f"{folder}: members differ from resharder.py's: too few {list((expected - members))[:3]}, too many {list((members - expected))[:3]}")
        print(f"  the same {sum(members.values())} members, byte for byte, as resharder.py wrote ({vectors})")


def check_clusters(folder, against, embeddings, semdedup, dbp):
    """Shape, order and numbers of the cluster files; then the published scripts read them."""
    count = len(list(Path(folder).glob("cluster_*.npy")))
    require(count > 0, f"{folder}: no cluster_*.npy")
    rows_seen = []
    for cluster in range(count):
        path = Path(folder) / f"cluster_{cluster}.npy"
        require(path.exists(), f"{path}: missing, though there are {count} cluster files")
        table = np.load(path, allow_pickle=False)
        require(table.ndim == 2 and table.shape[1] == 4, f"{path}: shape {table.shape}, expected [M, 4]")
        require(table.dtype.kind in "US", f"{path}: dtype {table.dtype}, expected text")
        rows, distances = table[:, 1].astype("int64"), table[:, 2].astype(np.float64)
        require(bool((np.diff(distances) <= 0).all()), f"{path}: not sorted from the farthest to the nearest")
        ties = np.diff(distances) == 0
        require(bool((np.diff(rows)[ties] > 0).all()), f"{path}: rows of equal distance are not in ascending order")
        require(bool((table[:, 3].astype(int) == cluster).all()), f"{path}: the cluster column does not say {cluster}")
        rows_seen.append(rows)
        if against:
            other = np.load(Path(against) / path.name, allow_pickle=False)
            text = lambda column: [x.decode() if isinstance(x, bytes) else str(x) for x in column]
            require(text(table[:, 0]) == text(other[:, 0]), f"{path}: names or their order differ from {against}")
            require(bool((rows == other[:, 1].astype("int64")).all()), f"{path}: rows differ from {against}")
            require(bool((np.abs(distances - other[:, 2].astype(np.float64)) < 1e-5).all()), f"{path}: distances differ from {against} by more than 1e-5")
    all_rows = np.concatenate(rows_seen)
    require(len(np.unique(all_rows)) == len(all_rows), f"{folder}: a row stands in two clusters")
    print(f"sorted clusters {folder}: {count} files, {len(all_rows)} rows, farthest first, ties by row{f', equal to {against}' if against else ''}")
    if semdedup and embeddings:
        run_semdedup(folder, count, embeddings, semdedup)
    if dbp:
        with common.import_path(dbp), contextlib.redirect_stdout(io.StringIO()), tempfile.TemporaryDirectory() as scratch:
            average, _ = common.load_module(dbp / "compute_avg_dist_to_cluster_centroid.py", "check_average")
            average.compute_avg_dist_to_cluster_centroid(argparse.Namespace(
                num_clusters=count, sorted_clusters_path=str(folder), avg_distance_to_cent_save_path=f"{scratch}/d_intra.npy"))
            d_intra = np.load(f"{scratch}/d_intra.npy")
        require(bool(np.isfinite(d_intra).all()), f"{folder}: the reference's d_intra is not finite")
        print(f"  compute_avg_dist_to_cluster_centroid.py reads them: d_intra {d_intra.min():.6f} to {d_intra.max():.6f}")


def run_semdedup(folder, count, embeddings, semdedup):
    """The published SemDeDupJob on our files."""
    matrix = np.load(embeddings, mmap_mode="r")
    with tempfile.TemporaryDirectory() as scratch, common.import_path(semdedup), contextlib.redirect_stdout(io.StringIO()):
        (Path(scratch) / "dataframes").mkdir()
        np.asarray(matrix, np.float32).tofile(f"{scratch}/embeddings.f32")
        module, _ = common.load_module(semdedup / "semdedup.py", "check_semdedup", [common.RenameAttribute("append_cluster", "append")])
        job = module.SemDeDupJob(argparse.Namespace(
            embs_memory_loc=f"{scratch}/embeddings.f32", dataset_size=len(matrix), emd_size=matrix.shape[1], save_loc=scratch, seed=1234,
            sorted_clusters_path=str(folder), eps_list=[0.05], which_to_keep="hard", device="cpu", num_clusters=count, clusters_per_job=count), 0)
        job._process_shard(0, count)
        removed = sum(int(pickle.loads(path.read_bytes())["eps=0.05"].sum()) for path in Path(scratch).glob("dataframes/*.pkl"))
    print(f"  semdedup.py reads them: {removed} rows removed at epsilon 0.05, hard")


def check_trie(path, keys_path, dbp):
    """Unpickles with the real pygtrie and looks up every key. Only for files that Cribble itself wrote: unpickling runs code."""
    import pygtrie

    trie = pickle.loads(Path(path).read_bytes())
    require(isinstance(trie, pygtrie.StringTrie), f"{path}: is a {type(trie).__name__}, expected pygtrie.StringTrie")
    keys = Path(keys_path).read_text(encoding="utf-8").split("\n")
    keys = keys[:-1] if keys and keys[-1] == "" else keys
    require(len(trie) == len(set(keys)), f"{path}: holds {len(trie)} keys, expected {len(set(keys))}")
    for key in keys:
        require(trie.get(key) == 1, f"{path}: key {key!r} gives {trie.get(key)!r}, expected 1")
    require(trie.get("no/such/key") is None, f"{path}: finds a key that was never put in")
    print(f"trie {path}: a pygtrie.StringTrie, all {len(keys)} keys have the value 1")
    if dbp:
        search = common.load_function(dbp / "utils.py", "trie_search", {})
        require(all(search(trie, key) for key in keys) and not search(trie, "no/such/key"), f"{path}: the reference's trie_search disagrees")
        print("  effective_pruning's trie_search finds them")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subset", type=Path, help="subset .npy that Cribble wrote")
    parser.add_argument("--subset-against", type=Path, help="file with the same bytes")
    parser.add_argument("--shards", type=Path, help="folder of resharded tars")
    parser.add_argument("--shards-against", type=Path, help="parity/vectors/reshard/vectors.json")
    parser.add_argument("--allow-missing", type=int, default=0, help="requested samples that may be absent from the tars")
    parser.add_argument("--sorted-clusters", type=Path, help="folder of cluster_*.npy")
    parser.add_argument("--sorted-against", type=Path, help="a recorded folder of cluster_*.npy")
    parser.add_argument("--embeddings", type=Path, help=".npy of the embeddings that the clusters are of (for --semdedup)")
    parser.add_argument("--trie", type=Path, help="pickled trie that Cribble wrote")
    parser.add_argument("--trie-keys", type=Path, help="its keys, one a line")
    parser.add_argument("--semdedup", help="checkout of facebookresearch/SemDeDup")
    parser.add_argument("--dbp", help="checkout of amro-kamal/effective_pruning")
    parser.add_argument("--datacomp", help="checkout of mlfoundations/datacomp")
    args = parser.parse_args()
    if not (args.subset or args.shards or args.sorted_clusters or args.trie):
        parser.error("give at least one of --subset, --shards, --sorted-clusters, --trie")
    if bool(args.trie) != bool(args.trie_keys):
        parser.error("--trie and --trie-keys belong together")
    with tempfile.TemporaryDirectory(prefix="cribble-check-") as scratch:
        place = lambda source: common.checkout(source, scratch)[0] if source else None
        semdedup, dbp, datacomp = place(args.semdedup), place(args.dbp), place(args.datacomp)
        try:
            subset = check_subset(args.subset, args.subset_against, datacomp) if args.subset else None
            if args.shards:
                check_shards(args.shards, subset, args.allow_missing, args.shards_against)
            if args.sorted_clusters:
                check_clusters(args.sorted_clusters, args.sorted_against, args.embeddings, semdedup, dbp)
            if args.trie:
                check_trie(args.trie, args.trie_keys, dbp)
        except ModuleNotFoundError as error:
            print(f"cannot check: {error}", file=sys.stderr)
            return 2
        except (Mismatch, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
            print(f"MISMATCH: {error}", file=sys.stderr)
            return 1
    print("all checks passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
