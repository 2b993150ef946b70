#!/usr/bin/env python3
"""Reads cards and exports with the packages that other people will read them with: mlcroissant, datasets, huggingface_hub, PyYAML, Pillow.

    python parity/cards.py --run RUN --hf DIR [--reshard DIR]

RUN, the export and the reshard output must have their cards (`cribble card`). Each check prints what it verified. Exit code 0: all passed,
1: a mismatch, 2: a package is missing (it says which). Nothing is fetched: the Hub is never asked.
"""

import argparse
import hashlib
import importlib.metadata
import io
import json
import os
import re
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
SCRATCH = tempfile.TemporaryDirectory()
# Both readers would else take what they unpacked for an earlier folder of the same file names.
os.environ["CROISSANT_CACHE"] = SCRATCH.name + "/croissant"
os.environ["HF_DATASETS_CACHE"] = SCRATCH.name + "/datasets"

PACKAGES = ["mlcroissant", "datasets", "huggingface_hub", "PyYAML", "Pillow", "pyarrow"]
REQUIRED = ["@context", "@type", "conformsTo", "name", "description", "license", "url", "creator", "datePublished"]
BUCKETS = ["n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B"]


class Mismatch(Exception):
    """A card is not what its readers expect."""


def require(condition, text):
    if not condition:
        raise Mismatch(text)


def check_readme(folder, samples):
    """The front matter by PyYAML and by the Hub's own class, and the figures that it states."""
    import yaml
    from huggingface_hub import DatasetCard

    text = (folder / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(re.match(r"---\n(.*?)\n---\n", text, re.S).group(1))
    card = DatasetCard.load(folder / "README.md")
    require(card.data.to_dict()["license"] == front["license"], f"{folder}: the Hub's class reads another licence")
    bucket = BUCKETS[max(0, len(str(samples)) - 3)]
    require(front["size_categories"] == [bucket], f"{folder}: {samples} samples are {bucket}, not {front['size_categories']}")
    require(f"{samples:,}" in text, f"{folder}: the text does not say {samples:,}")
    print(f"{folder}/README.md: {len(front)} keys of front matter, {card.data.license}, {bucket}, {len(text)} characters")
    return front


def check_croissant(folder, expected):
    """Members, hashes and lengths by hand; validation and the records of each record set by mlcroissant."""
    import mlcroissant

    path = folder / "croissant.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    missing = [name for name in REQUIRED if name not in document]
    require(not missing, f"{path}: required members are missing: {missing}")
    files = [entry for entry in document["distribution"] if entry["@type"] == "cr:FileObject"]
    for entry in files:
        data = (folder / entry["contentUrl"]).read_bytes()
        require(hashlib.sha256(data).hexdigest() == entry["sha256"], f"{path}: the hash of {entry['@id']} is another")
        require(f"{len(data)} B" == entry["contentSize"], f"{path}: the length of {entry['@id']} is another")
    require(document["prov:wasGeneratedBy"], f"{path}: no activity")
    data = mlcroissant.Dataset(jsonld=path)
    require(not data.metadata.ctx.issues.errors, f"{path}: {data.metadata.ctx.issues.report()}")
    counts = {}
    for records in document["recordSet"]:
        name = records["@id"]
        counts[name] = 0
        for record in data.records(name):
            counts[name] += 1
            empty = [field for field, value in record.items() if value is None]
            if name in expected["whole"]:
                require(not [field for field in empty if field.split("/")[1] in ("uid", "image", "key", "caption")], f"{path}: {name} has no {empty}")
    for name, count in expected["counts"].items():
        require(counts.get(name) == count, f"{path}: {name} has {counts.get(name)} records, expected {count}")
    warnings = sorted(data.metadata.ctx.issues.warnings)
    print(f"{path}: valid by mlcroissant; {len(files)} hashes; records {counts}; {len(document['prov:wasGeneratedBy'])} activities; warnings {warnings}")
    return document


def check_hub(folder, front, rows, uids):
    """What `load_dataset` makes of the folder by its card's own configurations."""
    import datasets

    config = front["configs"][0]["config_name"]
    if config == "selection":
        loaded = datasets.load_dataset(str(folder), split="all")
        require(sorted(row["uid"] for row in loaded if row["keep"]) == sorted(uids), f"{folder}: other uids than the subset")
        print(f"{folder}: load_dataset reads the selection of {len(loaded)} samples, {len(uids)} kept")
        return loaded
    # Tars are streamed: `datasets` guesses the types of json members from the first samples, and DataComp's have empty lists there.
    is_tars = "tar" in front["configs"][0]["data_files"][0]["path"]
    loaded = datasets.load_dataset(str(folder), split="train", streaming=is_tars)
    found, sizes = [], set()
    for row in loaded:
        found.append(row["json"]["uid"] if is_tars else row["uid"])
        sizes.add(row["jpg" if is_tars else "image"].size)
    require(len(found) == rows, f"{folder}: load_dataset has {len(found)} rows, expected {rows}")
    require(sorted(found) == sorted(uids), f"{folder}: other uids than the subset")
    require(isinstance(loaded.features["jpg" if is_tars else "image"], datasets.Image), f"{folder}: pictures are {loaded.features}")
    print(f"{folder}: load_dataset reads {rows} rows with {len(loaded.features)} columns, pictures of {len(sizes)} sizes decoded")
    return loaded


def check_parquet(folder, rows, loaded):
    """The same files without a card, as `load_dataset("parquet", …)` opens them, and the bytes of the pictures by Pillow."""
    import datasets
    from PIL import Image
    import pyarrow.parquet

    files = sorted(str(path) for path in folder.glob("train-*.parquet"))
    plain = datasets.load_dataset("parquet", data_files=files, split="train")
    require(plain.features == loaded.features and len(plain) == rows, f"{folder}: read otherwise without its card")
    groups = 0
    for path in files:
        table = pyarrow.parquet.ParquetFile(path)
        groups += table.num_row_groups
        for row in table.read(columns=["uid", "image"]).to_pylist():
            picture = Image.open(io.BytesIO(row["image"]["bytes"]))
            picture.load()
            require(row["image"]["path"].startswith(row["uid"]), f"{path}: {row['image']['path']} is not of {row['uid']}")
    print(f"{folder}: {len(files)} files, {groups} groups of rows, every picture opened by Pillow, {plain.features}")


def subset(run):
    import numpy

    return [f"{int(row[0]):016x}{int(row[1]):016x}" for row in numpy.load(run / "subset.npy")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--hf", type=Path)
    parser.add_argument("--reshard", type=Path)
    args = parser.parse_args()
    try:
        import datasets
        import huggingface_hub  # noqa: F401
        import mlcroissant  # noqa: F401
        import PIL  # noqa: F401
        import yaml  # noqa: F401
    except ImportError as error:
        print(f"SKIPPED: {error}")
        return 2
    datasets.disable_progress_bars()
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES))
    uids = subset(args.run)
    report = json.loads((args.run / "report.json").read_text())
    kept, seen = report["selection"]["kept"], report["selection"]["seen"]
    require(len(uids) == kept, f"{args.run}: {len(uids)} uids, {kept} kept")
    tars = {"images": kept, "captions": kept, "metadata": kept}
    try:
        has_tars = (args.run / "shards").is_dir()
        front = check_readme(args.run, kept)
        check_croissant(args.run, {"counts": {"selection": seen, **(tars if has_tars else {})}, "whole": ["images", "captions"]})
        check_hub(args.run, front, kept, uids)
        if args.reshard:
            front = check_readme(args.reshard, kept)
            check_croissant(args.reshard, {"counts": tars, "whole": ["images", "captions"]})
            check_hub(args.reshard, front, kept, uids)
        if args.hf:
            front = check_readme(args.hf, kept)
            check_croissant(args.hf, {"counts": {"samples": kept}, "whole": ["samples"]})
            check_parquet(args.hf, kept, check_hub(args.hf, front, kept, uids))
    except Mismatch as error:
        print(f"MISMATCH: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
