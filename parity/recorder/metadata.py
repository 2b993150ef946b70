"""Vectors of DataComp's baselines.py: no_filter and clip_score on two small metadata files of our own making.

A reader may question the language packages being stubbed: baselines.py imports them at the top of the file, but
no_filter and clip_score never call them.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .common import unit, versions, write_json

ROWS = 300
DIMENSIONS = {"b32": 16, "l14": 24}  # DataComp's are 512 and 768; small here so that the files stay small
WORDS = "red blue old small wooden boat house dog cat tree lake photo poster of the with near a vintage 2021 für été 写真".split()
# 0.24 in f32 lies below the float64 0.24, 0.28 above it: the reference compares in f32, so both rows are kept.
ON_THRESHOLD = [0.24, 0.28, 0.25]
RUNS = [
    ("no_filter", ["--name", "no_filter"]),
    ("l14_0.24", ["--name", "clip_score", "--arch", "l14", "--threshold", "0.24"]),
    ("l14_0.25", ["--name", "clip_score", "--arch", "l14", "--threshold", "0.25"]),
    ("b32_0.28", ["--name", "clip_score", "--arch", "b32", "--threshold", "0.28"]),
    ("l14_above_all", ["--name", "clip_score", "--arch", "l14", "--threshold", "2.0"]),
    ("l14_top_0.3", ["--name", "clip_score", "--arch", "l14", "--fraction", "0.3"]),
]
STUBS = {
    "fasttext.py": "class FastText:\n    eprint = None\n",
    "gcld3.py": "",
    "nltk/__init__.py": "",
    "nltk/corpus.py": "wordnet = None\n",
}


def make_metadata(folder, seed):
    """Two parquet+npz pairs as DataComp lays them out. Some uids repeat, some scores are NaN or exactly a threshold."""
    folder.mkdir(parents=True)
    uids_before = []
    for part in range(2):
        generator = np.random.default_rng([seed, part])
        uids = [generator.bytes(16).hex() for _ in range(ROWS)]
        uids[0] = "0" * 31 + str(part)  # leading zeros must survive
        uids[1] = "f" * 31 + "ef"[part]
        if part == 1:
            uids[10:14] = uids_before[20:24]  # the same samples in a second file
            uids[14] = uids[15]  # and twice in one file
        uids_before = uids
        arrays = {}
        scores = {}
        for arch, d in DIMENSIONS.items():
            image = unit(generator.standard_normal((ROWS, d)))
            cosine = np.clip(generator.normal(0.24, 0.07, ROWS), -0.2, 0.6)[:, None]
            noise = generator.standard_normal((ROWS, d))
            noise -= (noise * image).sum(1, keepdims=True) * image
            text = unit(cosine * image + np.sqrt(1 - cosine**2) * unit(noise))
            arrays[f"{arch}_img"], arrays[f"{arch}_txt"] = image.astype(np.float16), text.astype(np.float16)
            scores[arch] = (image.astype(np.float64) * text).sum(1).astype(np.float32)
            scores[arch][30 : 30 + len(ON_THRESHOLD)] = np.array(ON_THRESHOLD, np.float32)
            scores[arch][40] = np.nan
        arrays["dedup"] = unit(generator.standard_normal((ROWS, 8))).astype(np.float16)
        texts = [" ".join(generator.choice(WORDS, int(generator.integers(1, 9)))) for _ in range(ROWS)]
        texts[5] = "zwei Zeilen\nein Text"
        boxes = [[[float(x) for x in np.round(generator.uniform(0, 1, 4), 3)] for _ in range(int(generator.integers(0, 3)))] for _ in range(ROWS)]
        table = pa.table({
            "uid": pa.array(uids), "url": pa.array([f"https://example.org/{part}/{i}.jpg" for i in range(ROWS)]), "text": pa.array(texts),
            "original_width": pa.array(generator.integers(60, 2000, ROWS)), "original_height": pa.array(generator.integers(60, 2000, ROWS)),
            "clip_b32_similarity_score": pa.array(scores["b32"]), "clip_l14_similarity_score": pa.array(scores["l14"]),
            "face_bboxes": pa.array(boxes, pa.list_(pa.list_(pa.float64()))),
            "sha256": pa.array([generator.bytes(32).hex() for _ in range(ROWS)]),
        })
        stem = f"{generator.bytes(16).hex()}"
        pq.write_table(table, folder / f"{stem}.parquet", row_group_size=128)
        np.savez(folder / f"{stem}.npz", **arrays)


def record(folder, commit, out, scratch):
    """Write `metadata/`: the input pairs, one subset file a run, `vectors.json`."""
    target = Path(out) / "metadata"
    shutil.rmtree(target, ignore_errors=True)
    make_metadata(target / "input", 900)
    stubs = scratch / "stubs"
    for name, text in STUBS.items():
        path = stubs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    runs = []
    for name, flags in RUNS:
        subset = target / f"{name}.npy"
        command = [sys.executable, "baselines.py", *flags, "--metadata_dir", str((target / "input").resolve()), "--save_path", str(subset.resolve()),
                   "--num_workers", "1"]
        done = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(stubs)}, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"baselines.py {name} failed:\n{done.stderr}")
        written = np.load(subset)
        runs.append({"name": name, "arguments": flags, "file": subset.name, "rows": len(written), "unique": len(np.unique(written)),
                     "dtype": str(written.dtype), "bytes": subset.stat().st_size})
    write_json(target / "vectors.json", {
        "kind": "reference", "source": "mlfoundations/datacomp baselines.py", "commit": commit,
        "repairs": ["fasttext, gcld3 and nltk replaced by empty stubs (imported, never called by these baselines)"],
        "versions": versions("numpy", "pandas", "pyarrow", "torch", "fsspec"), "seed": 900, "rows_per_file": ROWS, "runs": runs,
    })
