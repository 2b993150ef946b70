#!/usr/bin/env python3
"""From tars to vectors: the usual Python way (webdataset, Pillow, a torch DataLoader, open_clip in f32) against `cribble embed`.

    cargo build --release && cargo build --release -p cribble-models --example encode_rate
    python bench/embed.py [--images 400] [--threads 2] [--rounds 2]

One random ViT-B/32 (made by encode.py's recipe, open_clip's layout) on both sides, image and caption, JPEGs of about 512 x 512. Both are
whole processes; the peer's own seconds without its imports are printed beside. Quality: cosine of our vectors to the peer's, row by row.
"""

import io
import json
import shutil
import sys
import tarfile
import time
from pathlib import Path

import numpy as np

import common
import encode
import preprocess


def make_tars(folder, images, per_tar=100):
    """Tars with key.jpg and key.txt."""
    pictures = folder / "pictures"
    preprocess.make(pictures, images)
    files = sorted(pictures.glob("*.jpg"))
    (folder / "tars").mkdir(parents=True, exist_ok=True)
    for first in range(0, images, per_tar):
        with tarfile.open(folder / "tars" / f"{first // per_tar:08d}.tar", "w") as tar:
            for at, file in enumerate(files[first:first + per_tar], first):
                for extension, data in (("jpg", file.read_bytes()), ("txt", encode.CAPTION.encode())):
                    info = tarfile.TarInfo(f"{at:09d}.{extension}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))


def peer(args):
    """What a researcher writes: webdataset, open_clip's transform, one loader process a spare core, batches of 32."""
    import open_clip
    import torch
    import webdataset
    from safetensors.torch import load_file

    torch.set_num_threads(args.threads)
    model, _, transform = open_clip.create_model_and_transforms("ViT-B-32", pretrained=None)
    model.load_state_dict(load_file(Path(args.data) / "vit-b-32" / "open_clip_model.safetensors"))
    model.eval()
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    tars = sorted(str(path) for path in (Path(args.data) / f"embed-{args.images}" / "tars").glob("*.tar"))
    start = time.perf_counter()
    data = webdataset.WebDataset(tars, shardshuffle=False, empty_check=False).decode("pil").to_tuple("jpg", "txt").map_tuple(transform, lambda text: tokenizer(text)[0])
    loader = torch.utils.data.DataLoader(data, batch_size=32, num_workers=1)
    vectors = []
    with torch.inference_mode():
        for pixels, tokens in loader:
            image, _ = (torch.nn.functional.normalize(found, dim=-1) for found in (model.encode_image(pixels), model.encode_text(tokens)))
            vectors.append(image.numpy().astype(np.float16))
    vectors = np.concatenate(vectors)
    np.save(Path(args.out) / "peer_img.npy", vectors)
    print(json.dumps({"images": len(vectors), "seconds": time.perf_counter() - start}))


def main():
    parser = common.arguments(__doc__, images=400)
    args = parser.parse_args()
    Path(args.out).mkdir(parents=True, exist_ok=True)
    if args.peer:
        return peer(args)
    model, folder = Path(args.data) / "vit-b-32", Path(args.data) / f"embed-{args.images}"
    if not (model / "visual.onnx").exists():
        encode.checkpoint(model)
    if not (folder / "tars").exists():
        make_tars(folder, args.images)

    def cribble(mode, dtype):
        def run(turn):
            out = Path(args.out) / f"embed-{mode}-{dtype}"
            shutil.rmtree(out, ignore_errors=True)
            return common.run_process([args.cribble, "embed", folder / "tars", "--model", model, "--embedding", "b32", "--preprocess", mode,
                                       "--dtype", dtype, "--threads", args.threads, "--out", out, "--json"], args.threads)
        return run

    theirs = common.self_command(__file__, args, "--images", args.images)
    sides = {"webdataset + open_clip f32": lambda turn: common.run_process(theirs, args.threads), "cribble": cribble("exact", "auto"),
             "cribble fast": cribble("fast", "auto"), "cribble f32": cribble("exact", "f32")}
    results = common.alternate(args.rounds, sides)
    reference = np.load(Path(args.out) / "peer_img.npy").astype(np.float64)
    quality = {}
    for name, run in (("cribble", "exact-auto"), ("cribble fast", "fast-auto"), ("cribble f32", "exact-f32")):
        parts = sorted((Path(args.out) / f"embed-{run}" / "embeddings" / "b32_img").glob("*.npy"))
        found = np.concatenate([np.load(part) for part in parts]).astype(np.float64)
        cosines = (found * reference).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(reference, axis=1)
        quality[name] = {"cosine_mean": float(cosines.mean()), "cosine_min": float(cosines.min())}
    common.report("embed: tars to vectors, ViT-B/32", args, results, args.images, "pairs", quality, ["torch", "open_clip_torch", "webdataset"])


if __name__ == "__main__":
    main()
