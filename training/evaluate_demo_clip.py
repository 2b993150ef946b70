"""Measures a checkpoint of the demo's CLIP through transformers, on pools that it was not trained on.

    python evaluate_demo_clip.py --model CHECKPOINT --validation POOL --demo POOL [--json FILE]

`--validation` is a pool of right captions (zero-shot accuracy is measured on it), `--demo` a pool with planted faults (scores of right and
wrong captions, twins). Everything goes through the checkpoint's own `preprocessor_config.json` and tokenizer.
"""

import argparse
import io
import json
import os
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch
from PIL import Image
from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

from pools import COLOURS, CONCEPTS, NOUNS, Row, held_out, read_pool

LANGUAGES = ["en", "de", "fr", "es", "ru", "zh"]
THRESHOLD = 0.95  # cosine above which the demo's `dedup` takes two pictures for one (epsilon 0.05)


def unit(vectors: torch.Tensor) -> np.ndarray:
    return torch.nn.functional.normalize(vectors.float(), dim=1).numpy()


@torch.no_grad()
def embed_images(model: CLIPModel, processor: CLIPImageProcessor, rows: list[Row]) -> np.ndarray:
    made = []
    for first in range(0, len(rows), 200):
        images = [Image.open(io.BytesIO(row.jpeg)).convert("RGB") for row in rows[first : first + 200]]
        pixels = processor(images=images, return_tensors="pt")["pixel_values"]
        made.append(model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output))
    return unit(torch.cat(made))


@torch.no_grad()
def embed_texts(model: CLIPModel, tokenizer, texts: list[str]) -> np.ndarray:
    made = []
    for first in range(0, len(texts), 400):
        tokens = tokenizer(texts[first : first + 400], padding=True, truncation=True, return_tensors="pt")
        made.append(model.text_projection(model.text_model(**tokens).pooler_output))
    return unit(torch.cat(made))


def auc(right: np.ndarray, wrong: np.ndarray) -> float:
    """The probability that a right one scores above a wrong one (Mann-Whitney; a tie counts half)."""
    ordered = np.sort(wrong)
    below, through = np.searchsorted(ordered, right, "left"), np.searchsorted(ordered, right, "right")
    return float((below + through).mean() / 2 / len(wrong))


def article(words: str) -> str:
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def zero_shot(model: CLIPModel, tokenizer, rows: list[Row], images: np.ndarray) -> dict[str, float]:
    """Accuracy among all 42 concepts by one prompt each, and among all (concept, colour) combinations by one prompt each."""
    combinations = sorted({(row.concept, row.colour) for row in rows})
    hidden = held_out(set(combinations))
    unseen = np.array([(row.concept, row.colour) in hidden for row in rows])
    plain = embed_texts(model, tokenizer, [f"a photo of {article(NOUNS[concept])}" for concept in CONCEPTS])
    said = (images @ plain.T).argmax(1)
    right = said == np.array([CONCEPTS.index(row.concept) for row in rows])
    coloured = embed_texts(
        model, tokenizer, [f"a photo of {article(f'{colour} {NOUNS[concept]}')}" for concept, colour in combinations]
    )
    both = np.array(
        [combinations[place] == (row.concept, row.colour) for row, place in zip(rows, (images @ coloured.T).argmax(1))]
    )
    kinds = np.array([row.kind for row in rows])
    worst = sorted((float(right[[row.concept == concept for row in rows]].mean()), concept) for concept in CONCEPTS)[:5]
    print("weakest concepts: " + ", ".join(f"{concept} {share:.1%}" for share, concept in worst))
    mistakes = Counter((row.concept, CONCEPTS[place]) for row, place, good in zip(rows, said, right) if not good)
    print("commonest mistakes: " + ", ".join(f"{a} for {b}: {n}" for (b, a), n in mistakes.most_common(6)))
    return {
        "zero-shot concept accuracy, held-out combinations": float(right[unseen].mean()),
        "zero-shot concept accuracy, all": float(right.mean()),
        "zero-shot concept accuracy, tiny images": float(right[kinds == "tiny"].mean()),
        "zero-shot concept accuracy, extreme aspects": float(right[kinds == "extreme_aspect"].mean()),
        "concept and colour accuracy, all": float(both.mean()),
        "concept and colour accuracy, held-out combinations": float(both[unseen].mean()),
        "held-out combinations": len(hidden),
        "held-out images": int(unseen.sum()),
        "validation images": len(rows),
    }


def captions(rows: list[Row], scores: np.ndarray) -> dict[str, float]:
    """How well the cosine of image and caption tells right captions from wrong ones and from file names."""
    kind, language = np.array([row.caption_kind for row in rows]), np.array([row.language for row in rows])
    right, wrong, name = kind == "matched", kind == "wrong", kind == "file_name"
    told = {"AUC right against wrong captions, all languages": auc(scores[right], scores[wrong])}
    for one in LANGUAGES:
        told[f"AUC right against wrong captions, {one}"] = auc(
            scores[right & (language == one)], scores[wrong & (language == one)]
        )
    told["AUC right captions against file names"] = auc(scores[right], scores[name])
    for words, which in [("right captions", right), ("wrong captions", wrong), ("file names", name)]:
        told[f"median clip_score, {words}"] = float(np.median(scores[which]))
    return told


def twins(rows: list[Row], images: np.ndarray) -> dict[str, float]:
    """Cosines of twins to their originals, and of all other images to their nearest other one."""
    place = {row.uid: at for at, row in enumerate(rows)}
    told, all_twins = {}, []
    for kind in ["byte_copy", "reencoded", "cropped", "mirrored", "brightened"]:
        pairs = [(at, place[row.twin_of]) for at, row in enumerate(rows) if row.kind == kind and row.twin_of in place]
        cosines = np.array([images[one] @ images[other] for one, other in pairs])
        all_twins.append(cosines)
        told[f"twins above {THRESHOLD}: {kind} ({len(pairs)})"] = float((cosines > THRESHOLD).mean())
        told[f"lowest 5 % of cosines: {kind}"] = float(np.quantile(cosines, 0.05))
    edited = np.concatenate(all_twins[1:])
    told[f"twins above {THRESHOLD}: all"] = float((np.concatenate(all_twins) > THRESHOLD).mean())
    told[f"twins above {THRESHOLD}: all but byte copies"] = float((edited > THRESHOLD).mean())

    alone = np.array([at for at, row in enumerate(rows) if row.twin_of is None])
    nearest = np.empty(len(alone), np.float32)
    for first in range(0, len(alone), 1000):
        part = images[alone[first : first + 1000]] @ images[alone].T
        part[np.arange(len(part)), first + np.arange(len(part))] = -1
        nearest[first : first + 1000] = part.max(1)
    concepts = np.array([rows[at].concept for at in alone])
    close = nearest > THRESHOLD
    told[f"other images with a stranger above {THRESHOLD} ({len(alone)})"] = float(close.mean())
    for concept, _ in Counter(concepts[close]).most_common(8):
        told[f"  of them {concept} ({(concepts == concept).sum()} images)"] = float(close[concepts == concept].mean())
    rest = ~np.isin(concepts, ["text_page", "gradient"])
    told["  without text pages and gradients"] = float(close[rest].mean())
    for threshold in [0.96, 0.97, 0.98]:
        told[f"at {threshold}: twins but byte copies"] = float((edited > threshold).mean())
        told[f"at {threshold}: other images with a stranger"] = float((nearest > threshold).mean())
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="checkpoint folder")
    parser.add_argument(
        "--validation", type=Path, required=True, help="pool without planted faults, of a seed not trained on"
    )
    parser.add_argument("--demo", type=Path, required=True, help="pool with planted faults, of a seed not trained on")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = CLIPModel.from_pretrained(args.model).float().eval()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    processor = CLIPImageProcessor.from_pretrained(args.model)

    validation, demo = read_pool(args.validation), read_pool(args.demo)
    assert all(row.colour in COLOURS for row in validation), "a pool for zero-shot accuracy has right captions only"
    told = zero_shot(model, tokenizer, validation, embed_images(model, processor, validation))
    images = embed_images(model, processor, demo)
    texts = embed_texts(model, tokenizer, [row.caption for row in demo])
    told |= captions(demo, (images * texts).sum(1)) | twins(demo, images)
    for name, value in told.items():
        print(f"{name:70} {value}" if isinstance(value, int) else f"{name:70} {value:.4f}")
    if args.json:
        args.json.write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
