#!/usr/bin/env python3
"""JPEG to encoder input, one thread: open_clip's preprocessing (Pillow, torchvision) against ours, `exact` and `fast`.

    cargo build --release -p cribble-pixels --example preprocess_rate
    python bench/preprocess.py [--images 200] [--rounds 5] [--size 224]

Both sides hold the files in memory and are timed inside their process, file bytes to normalised f32: an encoder's user pays Python's start once.
Times are seconds on a processor, as other programs may run beside; wall time is printed too. Rounds take turns and the best one of each
counts, as everything but the work only adds. Beside the
rates: how near the values are to open_clip's, on all images.
"""

import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from PIL import Image

from common import ROOT, arguments, machine, versions

MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


def picture(g, width, height, grain):
    """A made-up photo: noise with a natural spectrum (amplitude f^-1.5, a soft photo), flat shapes with edges, and a camera's grain."""
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    amplitude = np.maximum(np.hypot(fy, fx), 1 / max(width, height)) ** -1.5
    light = np.fft.irfft2(amplitude * np.exp(2j * np.pi * g.random(amplitude.shape)), s=(height, width))
    image = np.empty((height, width, 3), np.float32)
    for c in range(3):
        tint = np.fft.irfft2(amplitude * np.exp(2j * np.pi * g.random(amplitude.shape)), s=(height, width))
        image[..., c] = 128 + 40 * light / light.std() + 15 * tint / tint.std()
    for _ in range(12):
        x, y = g.integers(0, width - 20), g.integers(0, height - 20)
        image[y:y + g.integers(10, height // 2), x:x + g.integers(10, width // 2)] += g.uniform(-60, 60, 3)
    image += grain * g.standard_normal((height, width, 1)).astype(np.float32)
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))


def make(folder, count, seed=0):
    """`count` JPEGs of about 512 x 512, quality 85, 4:2:0, as Pillow writes them. Made once."""
    folder.mkdir(parents=True, exist_ok=True)
    if len(list(folder.glob("*.jpg"))) == count:
        return
    g = np.random.default_rng(seed)
    for i in range(count):
        width, height = (int(v) for v in g.integers(400, 640, 2))
        picture(g, width, height, g.uniform(1, 6)).save(folder / f"{i:04d}.jpg", quality=85)


def ours(binary, folder, mode, size, out=None):
    command = [str(binary), str(folder), mode, "1", str(size)] + ([str(out)] if out else [])
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return (min(answer["cpu"]), min(answer["seconds"])), " ".join(command)


def main():
    parser = arguments(__doc__, images=200, size=224, binary=str(ROOT / "target/release/examples/preprocess_rate"))
    args = parser.parse_args()
    import open_clip
    import torch

    torch.set_num_threads(1)
    folder = Path(args.data) / f"preprocess-{args.images}"
    make(folder, args.images)
    names = sorted(folder.glob("*.jpg"))
    files = [name.read_bytes() for name in names]
    print(f"{len(files)} JPEGs, {sum(map(len, files)) / len(files) / 1000:.1f} KB on average, to {args.size}")

    transform = open_clip.image_transform(args.size, is_train=False)
    peer = [transform(Image.open(io.BytesIO(data))).numpy() for data in files]
    shape = (len(files), 3, args.size, args.size)
    values = {}
    Path(args.out).mkdir(exist_ok=True)
    for mode in ("exact", "fast"):
        raw = Path(args.out) / f".preprocess-{mode}.f32"
        ours(args.binary, folder, mode, args.size, raw)
        values[mode] = np.fromfile(raw, np.float32).reshape(shape)
        raw.unlink()

    times = {"open_clip": [], "exact": [], "fast": []}
    commands = {"open_clip": f"{sys.executable} {' '.join(sys.argv)} (open_clip.image_transform in this process)"}
    for turn in range(args.rounds):
        start, busy = time.perf_counter(), time.thread_time()
        for data in files:
            transform(Image.open(io.BytesIO(data)))
        taken = {"open_clip": (time.thread_time() - busy, time.perf_counter() - start)}
        for mode in ("exact", "fast"):
            taken[mode], commands[mode] = ours(args.binary, folder, mode, args.size)
        for name, pair in taken.items():
            times[name].append(pair)
        print(f"  round {turn + 1}: " + ", ".join(f"{n} {len(files) / s[0]:.0f}/s" for n, s in taken.items()), file=sys.stderr)

    print(f"{machine()}; 1 thread; {versions(args.cribble, 'pillow', 'open_clip_torch', 'torchvision', 'torch')}")
    for name, command in commands.items():
        print(f"  {name}: {command}")
    rates = {name: len(files) / min(cpu for cpu, _ in pairs) for name, pairs in times.items()}
    walls = {name: len(files) / min(wall for _, wall in pairs) for name, pairs in times.items()}
    quality = {mode: agreement(np.stack(peer), values[mode]) for mode in values}
    print(f"  open_clip {rates['open_clip']:.0f} images/s ({walls['open_clip']:.0f} by the wall clock)")
    for mode, target in (("exact", 2.2), ("fast", 4.0)):
        ratio = rates[mode] / rates["open_clip"]
        print(f"  {mode} {rates[mode]:.0f} images/s ({walls[mode]:.0f}), {ratio:.2f} x open_clip (wanted {target}); to open_clip's pixels: {quality[mode]}")
    line = {"title": "preprocess", "machine": machine(), "rates": rates, "wall_rates": walls, "quality": quality, "commands": commands, "rounds": args.rounds}
    with open(Path(args.out) / "results.jsonl", "a") as log:
        log.write(json.dumps(line) + "\n")


def agreement(theirs, mine):
    """Differences in units of a u8 sample, and the cosine of the values image by image."""
    scale = STD[None, :, None, None] * 255
    steps = np.abs(theirs - mine) * scale
    a, b = theirs.reshape(len(theirs), -1).astype(np.float64), mine.reshape(len(mine), -1).astype(np.float64)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    square = float((steps.astype(np.float64) ** 2).mean())
    return {
        "equal": float((steps < 0.5).mean()),
        "within_1": float((steps < 1.5).mean()),
        "largest": float(np.rint(steps.max())),
        "psnr_db": None if square < 1e-6 else round(float(10 * np.log10(255**2 / square)), 1),
        "cosine_mean": float(cosine.mean()),
        "cosine_min": float(cosine.min()),
    }


if __name__ == "__main__":
    main()
