#!/usr/bin/env python3
"""Records what torch's CLIPModel says of an image and several texts, for the step `referee`.

    OMP_NUM_THREADS=1 python parity/referee.py [--out parity/vectors/referee]

Reads the random checkpoints that `parity/models.py` made. For each: the image features of fixed pixels (L2-normalised), the texts as the
model's own tokenizer cuts them, their cosines, and for every pair of texts `logits_per_image.softmax(dim=-1)` over exactly these two, as the
captioning data engine calls it. CLIP's own forward pass computes all of it; nothing is recomputed here.

Needs: torch transformers numpy.
"""

import argparse
import importlib.metadata
import itertools
import json
import sys
from pathlib import Path

import torch
import transformers

sys.path.insert(0, str(Path(__file__).resolve().parent))
from models import exact, noise  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
CHECKPOINTS = ROOT / "crates/models/tests/checkpoints"
TEXTS = [
    "a red bicycle",
    "IMG_2041.JPG",
    "two dogs run along the beach at sunset",
    "This image showcases a wooden table with a bowl of fruit and a glass of water on it.",
    # Longer than 77 tokens: both cut it.
    "a long caption that goes on about the river, the bridge and the people on it, " * 6,
]


def record(name):
    folder = CHECKPOINTS / name
    model = transformers.CLIPModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
    size = model.config.vision_config.image_size
    pixels = noise(1, size, size, 1)

    def forward(texts):
        with torch.no_grad():
            return model(pixel_values=pixels, **tokenizer(texts, padding=True, truncation=True, max_length=77, return_tensors="pt"))

    whole = forward(TEXTS)
    pairs = []
    for first, second in itertools.combinations(range(len(TEXTS)), 2):
        probs = forward([TEXTS[first], TEXTS[second]]).logits_per_image.softmax(dim=-1)
        pairs.append({"first": first, "second": second, "label_probs": exact(probs[0])})
    return {
        "checkpoint": name,
        "reference": "transformers CLIPModel, f32",
        "logit_scale": model.logit_scale.exp().item(),
        "image": exact(whole.image_embeds[0]),
        "texts": TEXTS,
        "cosines": exact((whole.text_embeds @ whole.image_embeds.T)[:, 0]),
        "pairs": pairs,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "parity/vectors/referee")
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    names = ("torch", "transformers", "tokenizers", "safetensors", "numpy")
    found = {
        "kind": "reference",
        "source": "transformers: logits_per_image.softmax(dim=-1) of random checkpoints (parity/models.py)",
        "repairs": [],
        "versions": {name: importlib.metadata.version(name) for name in names},
        "cases": [record(name) for name in ("clip", "clip-laion")],
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "vectors.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
