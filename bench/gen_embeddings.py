#!/usr/bin/env python3
"""Synthetic CLIP-like embeddings in DataComp's layout, by seed, in memory bounded by one shard and the duplicate roots.

    python bench/gen_embeddings.py ROWS DIMENSION SEED FOLDER

FOLDER/metadata/{i:08d}.parquet (uid) and .npz (`l14_img`, f16 [n, d], unit rows), FOLDER/truth.npz: planted duplicates as
`row`, `root` (row of the original) and `cosine`, and `concept` per row.

The model: unit rows that share one direction (CLIP's cone), gathered round concepts of long-tailed popularity, concepts
gathered round themes; noise that differs in strength from concept to concept and from direction to direction. About 12% of
the rows belong to planted groups of near duplicates: a quarter exact copies, half at cosine 0.95 to 0.999, a quarter at
0.90 to 0.95. Concepts depend on the dimension alone, so data of different sizes and seeds can be compared.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

CONCEPTS, THEMES, SHARD_ROWS, PLANTED = 2000, 80, 100_000, 0.12


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


class World:
    """Concepts: centres [c, d], noise scale per direction [c, d], popularity [c]."""

    def __init__(self, d):
        generator = np.random.default_rng([77, d])
        normal = lambda *shape: generator.standard_normal(shape, dtype=np.float32)
        theme = unit(normal(THEMES, d))[generator.integers(0, THEMES, CONCEPTS)]
        self.centres = unit(0.6 * unit(normal(d)) + 0.5 * theme + 0.6 * unit(normal(CONCEPTS, d))).astype(np.float32)
        spectrum = (1 + np.arange(d, dtype=np.float32)) ** -0.35
        scale = np.exp(0.5 * normal(CONCEPTS, d)) * spectrum
        strength = np.clip(np.exp(0.35 * normal(CONCEPTS, 1) - 0.35), 0.2, 1.6)
        self.scale = (unit(scale) * strength).astype(np.float32)
        self.rotation = np.linalg.qr(normal(d, d))[0].astype(np.float32)
        popularity = (3 + generator.permutation(CONCEPTS)) ** -0.9
        self.popularity = popularity / popularity.sum()

    def draw(self, generator, count):
        concept = generator.choice(CONCEPTS, count, p=self.popularity).astype(np.int32)
        noise = generator.standard_normal((count, self.centres.shape[1]), dtype=np.float32) * self.scale[concept]
        return unit(self.centres[concept] + noise @ self.rotation), concept


def plan_groups(generator, n):
    """Which rows are copies of which: (row, root, cosine), each [m]. Group sizes follow a power law."""
    slots = generator.permutation(n)
    sizes = 1 + np.minimum(generator.zipf(2.2, max(1, int(n * PLANTED))), 200)
    ends = np.cumsum(sizes)
    sizes = sizes[ends <= max(2, int(n * PLANTED * 1.4))]
    starts = np.cumsum(sizes) - sizes
    root = np.repeat(slots[starts], sizes - 1)
    row = np.concatenate([slots[start + 1 : start + size] for start, size in zip(starts, sizes)]) if len(sizes) else root
    kind = generator.random(len(row))
    cosine = np.where(kind < 0.25, 1.0, np.where(kind < 0.75, generator.uniform(0.95, 0.999, len(row)), generator.uniform(0.9, 0.95, len(row))))
    return row, root, cosine.astype(np.float32)


def near(generator, rows, cosine):
    """Rows at the given cosines to `rows`."""
    noise = generator.standard_normal(rows.shape, dtype=np.float32)
    noise = unit(noise - (noise * rows).sum(1, keepdims=True) * rows)
    return cosine[:, None] * rows + np.sqrt(np.maximum(0, 1 - cosine**2))[:, None] * noise


def generate(n, d, seed, folder):
    folder = Path(folder)
    (folder / "metadata").mkdir(parents=True, exist_ok=True)
    world = World(d)
    row, root, cosine = plan_groups(np.random.default_rng([seed, 0]), n)
    roots = np.unique(root)
    root_vectors, root_concepts = world.draw(np.random.default_rng([seed, 1]), len(roots))
    order = np.argsort(row)
    row, root, cosine = row[order], root[order], cosine[order]
    concepts = np.empty(n, np.int32)
    for shard, start in enumerate(range(0, n, SHARD_ROWS)):
        stop = min(n, start + SHARD_ROWS)
        generator = np.random.default_rng([seed, 2, shard])
        vectors, concept = world.draw(generator, stop - start)
        low, high = np.searchsorted(roots, [start, stop])
        vectors[roots[low:high] - start], concept[roots[low:high] - start] = root_vectors[low:high], root_concepts[low:high]
        low, high = np.searchsorted(row, [start, stop])
        at = np.searchsorted(roots, root[low:high])
        vectors[row[low:high] - start], concept[row[low:high] - start] = near(generator, root_vectors[at], cosine[low:high]), root_concepts[at]
        concepts[start:stop] = concept
        raw = generator.integers(0, 256, (stop - start, 16), dtype=np.uint8)
        uids = [bytes(uid).hex() for uid in raw]
        pq.write_table(pa.table({"uid": uids}), folder / "metadata" / f"{shard:08d}.parquet")
        np.savez(folder / "metadata" / f"{shard:08d}.npz", l14_img=vectors.astype(np.float16))
    np.savez(folder / "truth.npz", row=row, root=root, cosine=cosine, concept=concepts)


def ensure(n, d, seed, data):
    """The folder of that data set, generated when it is not there yet."""
    folder = Path(data) / f"emb_{n}x{d}_{seed}"
    if not (folder / "truth.npz").exists():
        print(f"generating {folder}", file=sys.stderr)
        generate(n, d, seed, folder)
    return folder


def load(folder):
    """All rows of the folder as f32 [n, d], renormalised after the f16 rounding."""
    return unit(np.concatenate([np.load(path)["l14_img"].astype(np.float32) for path in sorted((Path(folder) / "metadata").glob("*.npz"))]))


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    generate(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
