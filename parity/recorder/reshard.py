"""Vectors of DataComp's resharder.py on two tiny tars: which samples it writes, under which keys, with which bytes.

A reader may question that it runs with one worker: with more, the published program numbers its shards in the order in
which workers ask, so two runs differ. Member bytes are compared by sha256, tar headers (times, owners) are not.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from .common import versions, write_json

SHARD_SIZE = 8
STUBS = {
    "cv2.py": "",
    "img2dataset/__init__.py": "",
    "img2dataset/blurrer.py": "class BoundingBoxBlurrer:\n    pass\n",
}


def picture(generator, form):
    """A 12x12 picture as encoded bytes."""
    file = io.BytesIO()
    Image.fromarray(generator.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(file, form)
    return file.getvalue()


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def make_shards(folder, seed):
    """Two tars of 15 samples with awkward ones among them. Returns the uids in order (None where a sample has no uid)."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    uids = []
    for shard in range(2):
        with tarfile.open(folder / f"{shard:08d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for i in range(15):
                uid, at = generator.bytes(16).hex(), shard * 15 + i
                if at == 2:
                    uid = "00000000000000ab" + uid[16:]
                key = f"{at:09d}"
                facts = {"uid": uid, "caption": f"größe {at}", "width": 12, "status": "success"}
                text = f"größe {at}" if at % 4 else "two lines\nof text\n"
                members = {"jpg": picture(generator, "JPEG"), "txt": text.encode(), "json": json.dumps(facts, ensure_ascii=at % 2 == 0).encode()}
                if at == 3:
                    members["JPG"] = members.pop("jpg")
                if at == 4:
                    del members["jpg"]
                    members["png"] = picture(generator, "PNG")
                if at == 5:
                    members["cls"] = b"7"
                    members["seg.png"] = picture(generator, "PNG")
                if at == 7:
                    members["json"] = b'{"caption": "no uid"}'
                if at == 8:
                    del members["json"]
                if at == 9:
                    key = f"folder/{key}"
                if at == 12:
                    members["json"] = json.dumps(facts, indent=2).encode() + b"\n"
                if at == 16:
                    members["txt"] = b""
                uids.append(None if at in (7, 8) else uid)
                for extension in sorted(members, reverse=at % 3 == 0):
                    add(tar, f"{key}.{extension}", members[extension])
        (folder / f"{shard:08d}_stats.json").write_text(json.dumps({"count": 15, "successes": 15}))
    return uids


def make_subset(uids, seed):
    """About two thirds of the samples, some two or three times, and one uid that no shard holds."""
    generator = np.random.default_rng(seed)
    copies = generator.choice([0, 1, 2, 3], len(uids), p=[0.3, 0.45, 0.15, 0.1])
    copies[[2, 3, 4, 5, 9, 12, 16]] = [1, 1, 2, 1, 3, 1, 1]  # the awkward samples are asked for
    wanted = [uid for uid, count in zip(uids, copies) for _ in range(count) if uid] + [generator.bytes(16).hex()]
    rows = [(int(uid[:16], 16), int(uid[16:], 16)) for uid in wanted]
    return np.sort(np.array(rows, np.dtype("u8,u8"))), wanted[-1]


def read_shard(path):
    """[{key, members: [{name, bytes, sha256}]}] of a tar, in file order; the key ends at the first dot of the base name."""
    samples = []
    with tarfile.open(path) as tar:
        for member in tar:
            folder, _, base = member.name.rpartition("/")
            stem, _, extension = base.partition(".")
            key = f"{folder}/{stem}" if folder else stem
            if not samples or samples[-1]["key"] != key:
                samples.append({"key": key, "members": []})
            data = tar.extractfile(member).read()
            samples[-1]["members"].append({"name": extension, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    return samples


def run(folder, python_path, source, subset, output):
    output.mkdir()
    command = [sys.executable, "resharder.py", "-i", str(source.resolve()), "-o", str(output), "-s", str(subset.resolve()), "-j", "1",
               "--shard-size", str(SHARD_SIZE)]
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": python_path}, capture_output=True, text=True, timeout=120)
    if done.returncode != 0 or not (output / "meta.json").exists():
        raise SystemExit(f"resharder.py failed:\n{done.stderr}")
    meta = json.loads((output / "meta.json").read_text())
    counts = {key: meta[key] for key in ("processed_count", "output_count", "output_shard_count", "worker_success")}
    shards = [{"name": path.name, "stats": json.loads((output / f"{path.stem}_stats.json").read_text()), "samples": read_shard(path)}
              for path in sorted(output.glob("*.tar"))]
    return counts, shards


def record(folder, commit, webdataset, out, scratch):
    """Write `reshard/`: input shards, the subset with header and without, `vectors.json`."""
    target = Path(out) / "reshard"
    shutil.rmtree(target, ignore_errors=True)
    uids = make_shards(target / "input", 1000)
    subset, absent = make_subset(uids, 1001)
    np.save(target / "subset.npy", subset)
    (target / "subset.bin").write_bytes(subset.tobytes())
    stubs = scratch / "reshard_stubs"
    for name, text in STUBS.items():
        path = stubs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    python_path = os.pathsep.join([str(stubs), *([webdataset] if webdataset else [])])
    counts, shards = run(folder, python_path, target / "input", target / "subset.npy", scratch / "resharded")
    again = run(folder, python_path, target / "input", target / "subset.bin", scratch / "resharded_headerless")
    if again != (counts, shards):
        raise SystemExit("resharder.py gives another result for the headerless subset")
    found = subprocess.run([sys.executable, "-c", "import importlib.metadata as m; print(m.version('webdataset'))"],
                           env={**os.environ, "PYTHONPATH": python_path}, capture_output=True, text=True, check=True)
    write_json(target / "vectors.json", {
        "kind": "reference", "source": "mlfoundations/datacomp resharder.py", "commit": commit,
        "repairs": ["cv2 and img2dataset.blurrer replaced by empty stubs (used for blurring only)"],
        "versions": {**versions("numpy", "pyarrow", "pysimdjson", "cloudpathlib", "pillow"), "webdataset": found.stdout.strip()}, "seed": 1000,
        "shard_size": SHARD_SIZE, "input_uids": uids, "requested": len(subset), "absent_uid": absent, "counts": counts,
        "same_for_headerless_subset": True, "shards": shards,
    })
