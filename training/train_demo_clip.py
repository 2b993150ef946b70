"""Trains the demo's CLIP: a small Hugging Face `CLIPModel` on pictures and captions of our own generator, on two CPU cores.

    python train_demo_clip.py --pool POOL --check VALIDATION_POOL --out CHECKPOINT [--cache FILE.npy] [--steps N]

What has to come out, and what follows for the training:

* The picture's vector must name its concept (zero-shot) and tell right captions from wrong ones: CLIP's contrastive loss [1].
* The same vector decides on duplicates at cosine 0.95: a picture edited as the generator edits twins (cropped, mirrored, brightened,
  encoded anew) must stay above, every other picture below, also one of the same concept and colours. Hence a second contrastive loss
  between two edits of one picture (SimCLR [2]), and hinges on both sides of the threshold. Half of each batch comes from few
  concepts and colours, and a queue of earlier vectors [3] supplies hundreds of pictures of every concept: without them the hard negatives are rare.
* Pictures are squashed to a square rather than cropped: a crop would hide most of a 4:1 picture and would turn a small edit of the frame
  into a large one. In the squashed frame every edit of a twin is an affine map, so training can make the edits itself.
* A share of all (concept, colour) combinations is kept out of the training entirely, to measure what was learned rather than recalled.

[1] Radford et al. 2021, arXiv:2103.00020, section 2.3. [2] Chen et al. 2020, arXiv:2002.05709, section 2.1.
[3] Wang et al. 2020, cross-batch memory, arXiv:1912.06798, section 3.2. [4] Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/.
"""

import argparse
import json
import math
import os
import time
from collections import defaultdict
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is loaded: waiting threads sleep instead of spinning

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from transformers import CLIPConfig, CLIPModel

from clip_tokenizer import CONTEXT, END, START, encode, train_tokenizer, trimmed
from pools import CONCEPTS, NOUNS, Row, held_out, read_pool, squashed

# Pixels of the model's input and of its patches: 36 tokens, which train 1.5 times as fast as 64 x 64 in patches of 8.
SIDE, PATCH = 96, 16
STORED = 128  # pixels of the cached pictures: the shorter side of the smallest ordinary picture, so that a crop keeps all its detail
# Short captions, which name the concept alone.
PROMPTS = ["a photo of a {}", "{}", "a {}", "a picture of a {}", "{} stock image"]


# ---- pictures -----------------------------------------------------------------------------------------------------------------------


def cubic(x: torch.Tensor) -> torch.Tensor:
    """Catmull-Rom's relative that PIL uses for bicubic resampling (a = -0.5)."""
    x = x.abs()
    return torch.where(x < 1, (1.5 * x - 2.5) * x * x + 1, torch.where(x < 2, ((-0.5 * x + 2.5) * x - 4) * x + 2, 0.0))


def resampling(start: torch.Tensor, length: torch.Tensor, blur: torch.Tensor) -> torch.Tensor:
    """For each row of a batch the SIDE x STORED matrix that resamples [start, start + length) of the stored pixels to SIDE pixels as PIL
    does (bicubic with antialias; no pixel outside of the crop is seen). `blur` widens the filter."""
    scale = (length / SIDE)[:, None, None]
    centre = start[:, None, None] + (torch.arange(SIDE)[None, :, None] + 0.5) * scale
    pixel = torch.arange(STORED)[None, None, :] + 0.5
    weight = cubic((pixel - centre) / (scale.clamp(min=1) * blur[:, None, None]))
    inside = (pixel > start[:, None, None]) & (pixel < (start + length)[:, None, None])
    weight = weight * inside
    return weight / weight.sum(2, keepdim=True)


def views(pixels: torch.Tensor, edited: float, random: torch.Generator) -> torch.Tensor:
    """Stored pixels (B x STORED x STORED x 3, uint8) to inputs of the model. Each picture is edited with probability `edited`, else only
    resized. The edits cover the generator's (crate demo, sample.rs: crops to 78-92 % of each side, gamma 0.62-0.8 and 1.3-1.65, mirrored,
    JPEG quality 45-70) with a margin, and happen together, which no planted twin does."""
    batch = len(pixels)

    def chance(share: float) -> torch.Tensor:
        return torch.rand(batch, generator=random) < share

    def between(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(batch, generator=random)

    edit = chance(edited)
    crop, mirror, bright = edit & chance(0.65), edit & chance(0.4), edit & chance(0.35)
    blur = between(0.85, 1.2)
    matrices = []
    for _ in range(2):
        part = torch.where(crop, between(0.75, 0.95), torch.ones(batch))
        matrices.append(resampling(STORED * (1 - part) * between(0, 1), STORED * part, blur))
    rows, columns = matrices
    columns = torch.where(mirror[:, None, None], columns.flip(1), columns)
    x = pixels.permute(0, 3, 1, 2).float() / 255
    x = (rows[:, None] @ x @ columns[:, None].transpose(2, 3)).clamp(0, 1)
    gamma = torch.where(chance(0.6), between(0.58, 0.85), between(1.2, 1.75))
    x[bright] = x[bright].clamp(min=1e-4) ** gamma[bright][:, None, None, None]
    # What is left of JPEG's noise after shrinking: at most a few levels of 255, and only in every other picture, because it takes time.
    noisy = edit & chance(0.5)
    noise = torch.rand((int(noisy.sum()), 3, SIDE, SIDE), generator=random) - 0.5
    x[noisy] += noise * between(0, 0.05)[noisy][:, None, None, None]
    return (x - 0.5) / 0.5


def recoloured(inputs: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Each picture with channels that are random mixtures of its own, often nearly a permutation: red may become green or grey, white
    stays white. What it shows has not changed, only its caption would be wrong; without it the model names things by their colour."""
    mixture = torch.randn((len(inputs), 3, 3), generator=random).mul(4).softmax(2)
    return (mixture @ inputs.flatten(2)).view_as(inputs)


# ---- losses -------------------------------------------------------------------------------------------------------------------------


def clip_loss(
    image: torch.Tensor, text: torch.Tensor, names: torch.Tensor, same: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """Contrastive in both directions; rows with equal captions are each other's positives. `names` are file names, which belong to no
    picture: negatives for the images, so that a file name scores low."""
    target = same / same.sum(1, keepdim=True)
    logits = scale * image @ torch.cat([text, names]).T
    to_text = -(target * logits.log_softmax(1)[:, : len(text)]).sum(1).mean()
    to_image = -(target * (scale * text @ image.T).log_softmax(1)).sum(1).mean()
    return (to_text + to_image) / 2


def pair_losses(one: torch.Tensor, two: torch.Tensor, rows: torch.Tensor, queue: torch.Tensor, queued: torch.Tensor):
    """SimCLR's loss at temperature 0.05, and the hinges: two views of a picture above cosine 0.98, any two pictures below 0.88, which
    leaves room on both sides of 0.95. `queued` holds the rows of the queued vectors, -1 where the queue is still empty."""
    both, ids = torch.cat([one, two]), torch.cat([rows, rows])
    cosine = both @ both.T
    same = ids[:, None] == ids[None, :]
    itself = torch.eye(len(both), dtype=torch.bool)
    logits = (cosine / 0.05).masked_fill(itself, float("-inf"))
    partner = torch.arange(len(both)).roll(len(one))
    # A row can be drawn twice into a batch: then its other views are no negatives.
    extra = same & ~itself
    extra[torch.arange(len(both)), partner] = False
    contrast = F.cross_entropy(logits.masked_fill(extra, float("-inf")), partner)
    attract = F.relu(0.98 - (one * two).sum(1)).mean()
    against_queue = (both @ queue.T).masked_fill((ids[:, None] == queued[None, :]) | (queued < 0)[None, :], -1)
    near = F.relu(torch.cat([cosine.masked_fill(same, -1), against_queue], 1) - 0.88)
    # The nearest few decide; a mean over thousands would drown them.
    repel = near.topk(8, dim=1).values.mean()
    return contrast, attract, repel


# ---- training -----------------------------------------------------------------------------------------------------------------------


def draw_rows(groups: list[list[np.ndarray]], rows: int, batch: int, random: np.random.Generator) -> torch.Tensor:
    """Half of the batch from everywhere, a quarter from two concepts, a quarter from two (concept, colour) combinations."""
    picked = [random.integers(rows, size=batch // 2)]
    for kind in groups:
        for group in random.choice(len(kind), 2, replace=False):
            picked.append(random.choice(kind[group], batch // 8))
    return torch.from_numpy(np.concatenate(picked))


def file_names(count: int, random: np.random.Generator) -> list[str]:
    """Names as cameras give them."""
    shapes = [
        "IMG_{:04}.jpg",
        "DSC{:05}",
        "P10{:05}.JPG",
        "image ({}).png",
        "DSCF{:04}.JPG",
        "2012{:04}_{:06}.jpg",
        "photo{}.jpeg",
        "{}",
    ]
    return [shapes[random.integers(len(shapes))].format(*random.integers(10_000, size=2)) for _ in range(count)]


def save(model: CLIPModel, tokenizer: Tokenizer, out: Path) -> None:
    """A checkpoint folder in f16 that transformers opens."""
    out.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    model.half().save_pretrained(out)
    model.float().load_state_dict(state)
    tokenizer.save(str(out / "tokenizer.json"))
    words = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    about = {"tokenizer_class": "CLIPTokenizer", "model_max_length": CONTEXT, "do_lower_case": True, **words}
    (out / "tokenizer_config.json").write_text(json.dumps(about, indent=2) + "\n")
    half = [0.5, 0.5, 0.5]
    preprocess = {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "resample": 3,
        "size": {"height": SIDE, "width": SIDE},
        "do_center_crop": False,
        "crop_size": {"height": SIDE, "width": SIDE},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": half,
        "image_std": half,
    }
    (out / "preprocessor_config.json").write_text(json.dumps(preprocess, indent=2) + "\n")


@torch.no_grad()
def check(model: CLIPModel, tokenizer: Tokenizer, rows: list[Row], pixels: torch.Tensor, hidden: set) -> str:
    """A line about pictures that were not trained on: zero-shot accuracy, and how far edits and strangers lie apart."""
    model.eval()
    random = torch.Generator().manual_seed(1)
    prompts = encode(tokenizer, [f"a photo of a {NOUNS[concept]}" for concept in CONCEPTS])
    text = F.normalize(model.text_projection(model.text_model(prompts).pooler_output), dim=1)

    def embed(edited: float) -> torch.Tensor:
        made = [model.vision_model(views(part, edited, random)).pooler_output for part in pixels.split(250)]
        return F.normalize(model.visual_projection(torch.cat(made)), dim=1)

    plain, edited = embed(0.0), embed(1.0)
    right = (plain @ text.T).argmax(1) == torch.tensor([CONCEPTS.index(row.concept) for row in rows])
    unseen = torch.tensor([(row.concept, row.colour) in hidden for row in rows])
    twins = (plain * edited).sum(1)
    nearest = (plain @ plain.T).fill_diagonal_(-1).max(1).values
    model.train()
    return (
        f"accuracy {right.float().mean():.3f} (held out {right[unseen].float().mean():.3f}), edits above 0.95 "
        f"{(twins > 0.95).float().mean():.3f}, strangers above 0.95 {(nearest > 0.95).float().mean():.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True, help="pool to train on: originals and right captions only")
    parser.add_argument(
        "--check", type=Path, required=True, help="validation pool of another seed; 1,500 rows of it are looked at"
    )
    parser.add_argument("--out", type=Path, required=True, help="checkpoint folder to write")
    parser.add_argument("--cache", type=Path, help="where to keep the decoded pictures between runs (.npy)")
    parser.add_argument(
        "--init", type=Path, help="checkpoint folder to go on from, with its tokenizer; the schedule begins anew"
    )
    parser.add_argument(
        "--steps", type=int, default=1500, help="optimiser steps; the learning rate falls to zero over them"
    )
    parser.add_argument("--batch", type=int, default=128, help="pictures a step, two views each")
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate of AdamW")
    parser.add_argument("--muon-rate", type=float, default=5e-3, help="peak learning rate of Muon")
    parser.add_argument("--width", type=int, default=128, help="width of both towers, a multiple of 32")
    parser.add_argument("--layers", type=int, default=4, help="layers of the vision tower; the text tower has 3")
    parser.add_argument("--merges", type=int, default=1000, help="merges of the tokenizer beyond its 512 bytes")
    parser.add_argument("--queue", type=int, default=6144, help="earlier vectors kept as negatives")
    parser.add_argument("--every", type=int, default=150, help="steps between checkpoints")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, batches and edits")
    args = parser.parse_args()
    began = time.time()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    random, edits = np.random.default_rng(args.seed), torch.Generator().manual_seed(args.seed)

    rows = read_pool(args.pool)
    if args.cache and args.cache.exists():
        pixels = np.load(args.cache)
        assert len(pixels) == len(rows), f"{args.cache} belongs to another pool: delete it"
    else:
        pixels = squashed(rows, STORED, args.threads)
        if args.cache:
            np.save(args.cache, pixels)
    for row in rows:
        row.jpeg = b""
        assert row.kind in ("original", "tiny", "extreme_aspect") and row.caption_kind == "matched", (
            "a pool for training plants no fault"
        )
    combinations = {(row.concept, row.colour) for row in rows}
    hidden = held_out(combinations)
    kept = np.array([place for place, row in enumerate(rows) if (row.concept, row.colour) not in hidden])
    captions = [rows[place].caption for place in kept]
    by_concept, by_colour = defaultdict(list), defaultdict(list)
    for at, place in enumerate(kept):
        by_concept[rows[place].concept].append(at)
        by_colour[rows[place].concept, rows[place].colour].append(at)
    groups = [[np.array(group) for group in kind.values()] for kind in (by_concept, by_colour)]
    pixels = torch.from_numpy(pixels)
    print(
        f"{len(rows)} rows, {len(kept)} trained on; {len(hidden)} of {len(combinations)} combinations held out",
        flush=True,
    )

    if args.init:
        tokenizer = Tokenizer.from_file(str(args.init / "tokenizer.json"))
    else:
        tokenizer = train_tokenizer(captions, args.merges)
    ids = encode(tokenizer, captions)
    prompts = [encode(tokenizer, [shape.format(NOUNS[concept]) for concept in CONCEPTS]) for shape in PROMPTS]
    concepts = torch.tensor([CONCEPTS.index(rows[place].concept) for place in kept])
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
    print(
        f"{tokenizer.get_vocab_size()} tokens; the longest caption has {int((ids != end).sum(1).max()) + 1}", flush=True
    )

    shape = {"hidden_size": args.width, "intermediate_size": 4 * args.width, "num_attention_heads": args.width // 32}
    shape |= {"hidden_act": "quick_gelu", "projection_dim": 128}
    text_config = shape | {
        "num_hidden_layers": 3,
        "vocab_size": tokenizer.get_vocab_size(),
        "max_position_embeddings": CONTEXT,
    }
    text_config |= {"bos_token_id": start, "eos_token_id": end, "pad_token_id": end}
    vision_config = shape | {"num_hidden_layers": args.layers, "image_size": SIDE, "patch_size": PATCH}
    # Plain attention: torch's fused one is half as fast on CPUs at these sizes, measured with the backward pass.
    config = CLIPConfig(
        text_config=text_config, vision_config=vision_config, projection_dim=128, attn_implementation="eager"
    )
    if args.init:
        model = CLIPModel.from_pretrained(args.init, attn_implementation="eager").float().train()
    else:
        model = CLIPModel(config).train()
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters", flush=True)
    # Muon [4] for the matrices of the layers, AdamW for everything else. In short trials it fell faster than AdamW alone (see README).
    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and ".layers." in name]
    decayed = [p for name, p in named if p.ndim > 1 and ".layers." not in name]
    plain = [p for name, p in named if p.ndim <= 1]
    adamw = [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}]
    muon = torch.optim.Muon(matrices, lr=args.muon_rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
    optimizers = [(torch.optim.AdamW(adamw, betas=(0.9, 0.98)), args.rate), (muon, args.muon_rate)]

    checked = read_pool(args.check)[:1500]
    checked_pixels = torch.from_numpy(squashed(checked, STORED, args.threads))
    queue, queued, head = torch.zeros(args.queue, 128), torch.full((args.queue,), -1), 0
    trained, told = time.time(), np.zeros(5)
    for step in range(args.steps):
        warmth = min(1.0, (step + 1) / 80)
        share = warmth * (0.5 + 0.5 * math.cos(math.pi * step / args.steps))
        for optimizer, peak in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = peak * share
        picked = draw_rows(groups, len(kept), args.batch, random)
        raw = pixels[kept[picked]]
        inputs = torch.cat([views(raw, 0.2, edits), views(raw, 1.0, edits)])
        inputs = torch.cat([inputs, recoloured(inputs[args.batch :][: args.batch // 2], edits)])
        tokens = torch.cat([ids[picked], encode(tokenizer, file_names(8, random))])
        with torch.autocast("cpu", torch.bfloat16):
            seen = model.visual_projection(model.vision_model(inputs).pooler_output)
            read = model.text_projection(model.text_model(trimmed(tokens, end)).pooler_output)
            short = trimmed(prompts[random.integers(len(prompts))], end)
            nouns = model.text_projection(model.text_model(short).pooler_output)
        one, two, three = F.normalize(seen.float(), dim=1).split([args.batch, args.batch, args.batch // 2])
        text, names = F.normalize(read.float(), dim=1).split([args.batch, 8])
        same = (ids[picked][:, None] == ids[picked][None, :]).all(2).float()
        scale = model.logit_scale.exp()
        clip = (clip_loss(one, text, names, same, scale) + clip_loss(two, text, names, same, scale)) / 2
        nouns = F.normalize(nouns.float(), dim=1)
        concept = F.cross_entropy(scale * torch.cat([one, two]) @ nouns.T, concepts[picked].repeat(2))
        concept = concept + F.cross_entropy(scale * three @ nouns.T, concepts[picked[: args.batch // 2]])
        contrast, attract, repel = pair_losses(one, two, picked, queue, queued)
        # The hinges start once the space has a shape; before, they would only push noise.
        hinge = min(1.0, step / 300)
        loss = clip + concept + 1.5 * contrast + hinge * (10 * attract + 10 * repel)
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, _ in optimizers:
            optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=math.log(50))
        place = (head + torch.arange(args.batch)) % args.queue
        queue[place], queued[place], head = one.detach(), picked, int(place[-1]) + 1
        told += [clip.item(), concept.item(), contrast.item(), attract.item(), repel.item()]
        if (step + 1) % 50 == 0:
            clip, concept, contrast, attract, repel = told / 50
            print(
                f"{time.time() - trained:6.0f} s  step {step + 1}  clip {clip:.3f}  concept {concept:.3f}  contrast {contrast:.3f}  attract {attract:.4f}  "
                f"repel {repel:.4f}  scale {scale.item():.1f}",
                flush=True,
            )
            told[:] = 0
        if (step + 1) % args.every == 0 or step + 1 == args.steps:
            print(check(model, tokenizer, checked, checked_pixels, hidden), flush=True)
            save(model, tokenizer, args.out)
    print(
        f"trained in {(time.time() - trained) / 60:.1f} minutes, {(time.time() - began) / 60:.1f} with reading",
        flush=True,
    )


if __name__ == "__main__":
    main()
