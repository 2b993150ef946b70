#!/usr/bin/env python3
"""Encoding images and captions: open_clip (f32, pure bf16) and onnxruntime (f32) against our encoders, on ViT-B/32 with random weights.

    python bench/encode.py [--threads 2] [--rounds 3] [--encoder target/release/examples/encode_rate]

Build the encoder first: `cargo build --release -p cribble-models --example encode_rate`. Every side encodes batches of 32 that are in memory
already, takes its fastest round after a warm-up, and the sides take turns. The weights are one checkpoint, made here with open_clip and stored in
its own layout, so quality is the cosine of our vectors to open_clip's f32 on the same pixels (in `crates/models/tests` for every family).
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path

import common

BATCH, CAPTION = 32, "a photo of a cat on a table, vintage poster"


def checkpoint(folder):
    """A random ViT-B/32 in open_clip's layout, with a tokenizer of its real size; and the same image tower as ONNX."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32", pretrained=None).eval()
    folder.mkdir(parents=True)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    means = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
    config = {"embed_dim": 512, "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 32},
              "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": means}))
    # The tower is measured, not the tokenizer: the small one of the tests splits the caption into more tokens than CLIP's own would.
    shutil.copy(common.ROOT / "crates/models/tests/checkpoints/open-clip/tokenizer.json", folder)
    torch.backends.mha.set_fastpath_enabled(False)
    torch.onnx.export(model.visual, (torch.zeros(BATCH, 3, 224, 224),), str(folder / "visual.onnx"), opset_version=17,
                      input_names=["x"], output_names=["y"], dynamo=False)


def fastest(run, rounds):
    run()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return BATCH / min(times)


def peer(args):
    """Runs as its own process, so that thread counts are set before torch starts."""
    import numpy as np
    import open_clip
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(args.threads)
    folder = Path(args.data) / "vit-b-32"
    model = open_clip.create_model("ViT-B-32", pretrained=None).eval()
    model.load_state_dict(load_file(folder / "open_clip_model.safetensors"))
    pixels = torch.from_numpy(np.random.default_rng(0).standard_normal((BATCH, 3, 224, 224), dtype=np.float32))
    tokens = open_clip.get_tokenizer("ViT-B-32")([CAPTION] * BATCH)
    rates = {}
    with torch.inference_mode():
        if args.peer == "onnxruntime":
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = args.threads
            session = onnxruntime.InferenceSession(str(folder / "visual.onnx"), options, providers=["CPUExecutionProvider"])
            values = pixels.numpy()
            rates["images_per_second"] = fastest(lambda: session.run(None, {"x": values}), args.rounds)
        else:
            if args.peer == "bf16":
                model, pixels = model.to(torch.bfloat16), pixels.bfloat16()
            rates["images_per_second"] = fastest(lambda: model.encode_image(pixels), args.rounds)
            rates["texts_per_second"] = fastest(lambda: model.encode_text(tokens), args.rounds)
    print(json.dumps(rates))


def main():
    parser = common.arguments(__doc__, encoder=str(common.ROOT / "target/release/examples/encode_rate"))
    args = parser.parse_args()
    if args.peer:
        return peer(args)
    folder = Path(args.data) / "vit-b-32"
    if not (folder / "visual.onnx").exists():
        checkpoint(folder)
    ours = {f"cribble {dtype}": [args.encoder, folder, args.threads, args.rounds, dtype] for dtype in ("f32", "bf16")}
    theirs = {name: [sys.executable, __file__, "--peer", name, "--data", args.data, "--threads", args.threads, "--rounds", args.rounds]
              for name in ("f32", "bf16", "onnxruntime")}
    sides = {**{f"open_clip {name}" if name != "onnxruntime" else name: command for name, command in theirs.items()}, **ours}
    best = {name: {} for name in sides}
    for turn in range(2):
        for name, command in sides.items():
            found = common.last_json(common.run_process(command, args.threads)["stdout"])
            for key in ("images_per_second", "texts_per_second"):
                if key in found:
                    best[name][key] = max(best[name].get(key, 0), found[key])
            print(f"  turn {turn + 1} {name}: {best[name]}", file=sys.stderr)
    print(f"{common.machine()}; {args.threads} threads; {common.versions(args.cribble, 'torch', 'open_clip_torch', 'onnxruntime')}")
    for name, rates in best.items():
        base = best["open_clip f32"]
        ratios = ", ".join(f"{key.split('_')[0]} {value:.1f}/s ({value / base[key]:.2f} x open_clip f32)" for key, value in rates.items())
        print(f"{name}: {ratios}\n    {' '.join(map(str, sides[name]))}")
    facts = {"title": "encode ViT-B/32", "machine": common.machine(), "threads": args.threads, "cores": os.cpu_count(), "best": best}
    Path(args.out).mkdir(parents=True, exist_ok=True)
    with open(Path(args.out) / "results.jsonl", "a") as file:
        file.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
