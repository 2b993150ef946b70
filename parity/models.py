#!/usr/bin/env python3
"""Makes the tiny checkpoints that the Rust encoders and tokenizers are compared on, and records what the references answer.

    OMP_NUM_THREADS=1 python parity/models.py [--out crates/models/tests/checkpoints] [--only clip,dinov2,...]

Every checkpoint is random (seeded), a few layers deep, and laid out as on the Hub: config.json, safetensors, tokenizer.json,
preprocessor_config.json. `expected.json` beside it holds what transformers (or open_clip) computes from the stored weights in f32: token
ids of hard strings, embeddings of some of them and of pixels that come from a formula (`noise`), the logit scale. Weights are drawn large enough that a wrong
activation, epsilon or interpolation shows: `discriminates` checks that, and the recorder fails where it does not.

Needs: torch transformers open_clip_torch tokenizers safetensors sentencepiece protobuf numpy.
"""

import argparse
import importlib.metadata
import json
import math
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).resolve().parent))
import models_tokenizers as tokens  # noqa: E402

OUT = Path(__file__).resolve().parents[1] / "crates/models/tests/checkpoints"
# Positions in strings.json of the texts that are embedded too: plain, empty, cut, with special tokens inside.
EMBEDDED = [0, 1, 3, 5, 6, 8, 10, 14, 16, 20, 33, 38, 39, 40]
# The two products of a perceptron, as the families name them.
WIDENING = ("fc1", "c_fc", "intermediate.dense")
NARROWING = ("fc2", "c_proj", "output.dense.weight")
HALF, BRAIN, SINGLE = torch.float16, torch.bfloat16, torch.float32


def noise(count, height, width, seed):
    """Pixels `[count, 3, height, width]` in [-1, 1): a hash of the flat position, exact in every float format. The same three lines
    stand in the Rust tests."""
    i = np.arange(count * 3 * height * width, dtype=np.uint64) + np.uint64(seed * 1_000_003)
    mask = np.uint64(0xFFFFFFFF)
    i = (i * np.uint64(0x9E3779B1)) & mask
    i = ((i ^ (i >> np.uint64(15))) * np.uint64(0x85EBCA77)) & mask
    i ^= i >> np.uint64(13)
    return torch.from_numpy(((i & np.uint64(255)).astype(np.float32) / 128 - 1).reshape(count, 3, height, width))


def draw(model, seed):
    """Redraws every parameter by name: the defaults are so small that whole layers hardly change the result."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in sorted(model.named_parameters()):
        values = torch.randn(parameter.shape, generator=generator)
        leaf = name.rsplit(".", 1)[-1]
        if name.endswith(("logit_scale", "logit_bias")):
            values = torch.full_like(values, 2.3 if name.endswith("logit_scale") else -7.5)
        elif "lambda1" in name:
            values = 0.7 + 0.2 * values
        elif parameter.dim() == 1 and leaf == "weight":
            values = 1 + 0.3 * values
        elif parameter.dim() == 1:
            # Most hidden units of a trained perceptron are off: there, below zero, activations differ most.
            values = 0.2 * values - (2.0 if any(part in name for part in WIDENING) else 0.0)
        elif "embedding" in name or "token" in name or "probe" in name or "positional" in name:
            values = 0.8 * values if parameter.dim() < 4 else values * 1.5 / math.sqrt(parameter[0].numel())
        else:
            gain = 9.0 if any(part in name for part in NARROWING) else 1.3
            values = values * gain / math.sqrt(parameter[0].numel())
        parameter.data.copy_(values)
    return model.eval()


def versions():
    names = ("torch", "transformers", "tokenizers", "open_clip_torch", "ftfy", "safetensors", "sentencepiece", "numpy")
    return {name: importlib.metadata.version(name) for name in names}


def exact(values):
    """The shortest decimals that give the same f32."""
    array = np.asarray(values.detach().float().numpy() if isinstance(values, torch.Tensor) else values, dtype=np.float32)
    return json.loads("[" + ",".join(np.format_float_scientific(x, unique=True) for x in array.ravel()) + "]") if array.ndim == 1 else [
        exact(row) for row in array
    ]


class QuickGelu(torch.nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


def unit(values):
    return torch.nn.functional.normalize(values.float(), dim=-1)


def store(folder, model, dtype, shards=None, extra=None):
    """Writes config and weights in `dtype`; `extra` tensors are buffers that old checkpoints carry."""
    model.to(dtype).save_pretrained(folder, **({"max_shard_size": shards} if shards else {}))
    (folder / "generation_config.json").unlink(missing_ok=True)
    if extra:
        path = folder / "model.safetensors"
        save_file({**load_file(path), **extra}, path, metadata={"format": "pt"})


def write(folder, family, reference, **found):
    text = {"family": family, "reference": reference, "versions": versions(), **found}
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=True)}" for key, value in text.items())
    (folder / "expected.json").write_text("{\n" + lines + "\n}\n")


def images(encode, sizes, count=3):
    """Embeddings (normalised) of `noise` at each size."""
    runs = []
    for seed, (height, width) in enumerate(sizes, 1):
        with torch.no_grad():
            vectors = unit(encode(noise(count, height, width, seed)))
        runs.append({"count": count, "height": height, "width": width, "seed": seed, "embeds": exact(vectors)})
    return runs


def texts(tokenizer, context, encode=None, pad=False):
    """Token ids of the hard strings as the processor of the model cuts (and, for SigLIP, pads) them; embeddings of the first few.
    `cut` is how many tokens of the text were lost."""
    ids, cut = [], []
    for text in tokens.HARD:
        whole = tokenizer(text)["input_ids"]
        row = tokenizer(text, truncation=True, max_length=context, **({"padding": "max_length"} if pad else {}))["input_ids"]
        ids.append(row)
        cut.append(max(0, len(whole) - context))
    found = {"context": context, "padded": pad, "ids": ids, "cut": cut}
    if encode:
        with torch.no_grad():
            vectors = [unit(encode(torch.tensor([row]))) for row in (ids[at] for at in EMBEDDED)]
        found["embedded"] = EMBEDDED
        found["embeds"] = exact(torch.cat(vectors))
    return found


def least_cosine(one, other):
    """Of the vectors that two functions give, in pairs."""
    with torch.no_grad():
        return (unit(one()) * unit(other())).sum(-1).min().item()


def discriminates(what, right, wrong):
    """Fails where a model that is wrong in `what` gives the same vectors: then the fixture would prove nothing."""
    cosine = least_cosine(right, wrong)
    if cosine > 0.99995:
        raise SystemExit(f"the fixture does not show a wrong {what}: cosine {cosine:.7f}")
    return round(cosine, 6)


def preprocessing(folder, size, style):
    mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
    half = [0.5, 0.5, 0.5]
    base = {"do_resize": True, "do_normalize": True, "resample": 3}
    scale = {"do_rescale": True, "rescale_factor": 0.00392156862745098}
    crop = {"height": size, "width": size}
    settings = {
        "openai": {**base, "crop_size": size, "size": size, "do_center_crop": True, "image_mean": mean, "image_std": std,
                   "feature_extractor_type": "CLIPFeatureExtractor"},
        "clip": {**base, **scale, "crop_size": crop, "size": {"shortest_edge": size}, "do_center_crop": True, "do_convert_rgb": True,
                 "image_mean": mean, "image_std": std, "image_processor_type": "CLIPImageProcessor"},
        "siglip": {**base, **scale, "size": crop, "image_mean": half, "image_std": half, "image_processor_type": "SiglipImageProcessor"},
        "dinov2": {**base, **scale, "crop_size": crop, "size": {"shortest_edge": size * 8 // 7}, "do_center_crop": True,
                   "do_convert_rgb": True, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
                   "image_processor_type": "BitImageProcessor"},
    }[style]
    (folder / "preprocessor_config.json").write_text(json.dumps(settings, indent=1))


def clip(folder, *, seed, dtype, activation, style, shards=None, towers="both"):
    vocabulary, start, end = tokens.clip(folder)
    text = dict(vocab_size=vocabulary, hidden_size=28, intermediate_size=72, num_hidden_layers=2, num_attention_heads=4,
                hidden_act=activation, bos_token_id=start, eos_token_id=end, projection_dim=24, max_position_embeddings=77)
    vision = dict(hidden_size=30, intermediate_size=72, num_hidden_layers=2, num_attention_heads=3, image_size=32, patch_size=8,
                  hidden_act=activation, projection_dim=24)
    if activation == "quick_gelu":
        # As the published configs of OpenAI's checkpoints, where this is 2 and has never been right.
        text["eos_token_id"] = 2
    kinds = {
        "both": (transformers.CLIPModel, lambda: transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)),
        "image": (transformers.CLIPVisionModelWithProjection, lambda: transformers.CLIPVisionConfig(**vision)),
        "text": (transformers.CLIPTextModelWithProjection, lambda: transformers.CLIPTextConfig(**text)),
    }
    kind, config = kinds[towers]
    extra = {"text_model.embeddings.position_ids": torch.arange(77)[None]} if style == "openai" and towers != "image" else None
    store(folder, draw(kind(config()), seed), dtype, shards, extra)
    model = kind.from_pretrained(folder, dtype=SINGLE).eval()
    pooled = lambda output: output if isinstance(output, torch.Tensor) else output.pooler_output  # noqa: E731
    if towers == "both":
        image = lambda pixels: pooled(model.get_image_features(pixel_values=pixels))  # noqa: E731
        encode = lambda ids: pooled(model.get_text_features(input_ids=ids, attention_mask=torch.ones_like(ids)))  # noqa: E731
    else:
        image = lambda pixels: model(pixel_values=pixels).image_embeds  # noqa: E731
        encode = lambda ids: model(input_ids=ids, attention_mask=torch.ones_like(ids)).text_embeds  # noqa: E731
    found = {"dim": 24}
    if towers != "text":
        preprocessing(folder, 32, style)
        found["images"] = images(image, [(32, 32)])
        other = kind(config()).eval()
        other.load_state_dict(model.state_dict())
        for module in other.modules():
            if hasattr(module, "activation_fn"):
                module.activation_fn = torch.nn.GELU() if activation == "quick_gelu" else QuickGelu()
        wrong = (lambda p: pooled(other.get_image_features(pixel_values=p))) if towers == "both" else (lambda p: other(p).image_embeds)
        pixels = noise(3, 32, 32, 1)
        found["wrong_activation"] = discriminates("activation", lambda: image(pixels), lambda: wrong(pixels))
    if towers != "image":
        tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
        found["texts"] = texts(tokenizer, 77, encode)
    else:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).unlink()
    if towers == "both":
        found["logit_scale"] = model.logit_scale.exp().item()
    write(folder, "clip", f"transformers {kind.__name__}, f32", **found)


def siglip_tokenizer(folder, canonical):
    """Writes a tokenizer of SigLIP's kind; its size and the reference: the slow one, which alone removes punctuation."""
    with tempfile.TemporaryDirectory() as scratch:
        vocabulary = tokens.siglip(folder, Path(scratch), canonical)
        return vocabulary, transformers.SiglipTokenizer(str(Path(scratch) / "spiece.model"))


def siglip_bare_tokenizer(folder):
    """A tokenizer alone, without the cleaning in its file."""
    _, tokenizer = siglip_tokenizer(folder, canonical=False)
    write(folder, "siglip", "transformers SiglipTokenizer (sentencepiece)", texts=texts(tokenizer, 64, pad=True))


def siglip(folder, *, seed, dtype, gemma):
    if gemma:
        vocabulary = tokens.gemma(folder)
        # The reference of SigLIP 2 is the class that lower-cases.
        tokenizer = transformers.Siglip2Tokenizer.from_pretrained(folder)
        tokenizer.padding_side = "right"
    else:
        vocabulary, tokenizer = siglip_tokenizer(folder, canonical=True)
    text = dict(vocab_size=vocabulary, hidden_size=36, intermediate_size=88, num_hidden_layers=2, num_attention_heads=3,
                max_position_embeddings=64, projection_size=36)
    vision = dict(hidden_size=36, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4, image_size=40, patch_size=10)
    config = transformers.SiglipConfig(text_config=text, vision_config=vision)
    store(folder, draw(transformers.SiglipModel(config), seed), dtype)
    preprocessing(folder, 40, "siglip")
    model = transformers.SiglipModel.from_pretrained(folder, dtype=SINGLE).eval()
    image = lambda pixels: model.vision_model(pixel_values=pixels).pooler_output  # noqa: E731
    encode = lambda ids: model.text_model(input_ids=ids).pooler_output  # noqa: E731
    found = {"images": images(image, [(40, 40)]), "texts": texts(tokenizer, 64, encode, pad=True)}
    pixels = noise(3, 40, 40, 1)

    def wrong():
        for layer in model.vision_model.encoder.layers:
            layer.mlp.activation_fn = torch.nn.GELU()
        return image(pixels)

    # tanh GELU and exact GELU are close by nature: the check is that another epsilon or head would not hide below them.
    near = least_cosine(lambda: image(pixels), wrong)
    write(folder, "siglip", "transformers SiglipModel, f32", dim=36, **found, exact_gelu_cosine=round(near, 8),
          logit_scale=model.logit_scale.exp().item(), logit_bias=model.logit_bias.item())


def dinov2(folder, *, seed, dtype, registers=False, swiglu=False):
    settings = dict(hidden_size=36, num_hidden_layers=2, num_attention_heads=3, mlp_ratio=3, image_size=48, patch_size=8,
                    use_swiglu_ffn=swiglu, layerscale_value=1.0)
    if registers:
        kind, config = transformers.Dinov2WithRegistersModel, transformers.Dinov2WithRegistersConfig(num_register_tokens=4, **settings)
    else:
        kind, config = transformers.Dinov2Model, transformers.Dinov2Config(**settings)
    store(folder, draw(kind(config), seed), dtype)
    preprocessing(folder, 32, "dinov2")
    model = kind.from_pretrained(folder, dtype=SINGLE).eval()
    image = lambda pixels: model(pixel_values=pixels).pooler_output  # noqa: E731
    runs = images(image, [(32, 32), (48, 48), (64, 64), (32, 40)], count=2)
    pixels = noise(2, 32, 32, 1)

    def wrong():
        kept = model.embeddings.position_embeddings.data.clone()
        grid = kept[:, 1:].reshape(1, 6, 6, -1).permute(0, 3, 1, 2)
        cut = torch.nn.functional.interpolate(grid, size=(4, 4), mode="bicubic", align_corners=False, antialias=not registers)
        model.embeddings.position_embeddings.data = torch.cat([kept[:, :1], cut.permute(0, 2, 3, 1).reshape(1, 16, -1)], 1)
        vectors = image(pixels)
        model.embeddings.position_embeddings.data = kept
        return vectors

    found = discriminates("antialias of the position grid", lambda: image(pixels), wrong)
    write(folder, "dinov2", f"transformers {kind.__name__}, f32: pooler_output", dim=36, images=runs, wrong_antialias=found)


def bert(folder, *, seed, dtype):
    """The layout of sentence-transformers/all-MiniLM-*: a BertModel, mean pooling over the mask, normalisation."""
    length = 64
    vocabulary = tokens.bert(folder, length)
    config = transformers.BertConfig(vocab_size=vocabulary, hidden_size=48, num_hidden_layers=3, num_attention_heads=4,
                                     intermediate_size=112, max_position_embeddings=96)
    store(folder, draw(transformers.BertModel(config), seed), dtype, extra={"embeddings.position_ids": torch.arange(96)[None]})
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    listed = [{"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"} for at, (path, kind) in enumerate(modules)]
    (folder / "modules.json").write_text(json.dumps(listed, indent=1))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": length, "do_lower_case": False}))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 48, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
               "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False}
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling, indent=1))
    model = transformers.BertModel.from_pretrained(folder, dtype=SINGLE).eval()
    tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    encode = lambda ids: model(input_ids=ids).last_hidden_state.mean(1)  # noqa: E731
    write(folder, "bert", "transformers BertModel, f32: mean over tokens", dim=48, texts=texts(tokenizer, length, encode))


def open_clip(folder, *, seed, dtype, custom, quick):
    import open_clip as package

    vocabulary, _, end = tokens.clip(folder)
    assert end == vocabulary - 1, "open_clip finds the end of the text as the largest id"
    config = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 48, "head_width": 16, "mlp_ratio": 2.5, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": vocabulary, "width": 32, "heads": 4, "layers": 2, "mlp_ratio": 3.0},
    }
    if quick:
        config["quick_gelu"] = True
    make = package.CustomTextCLIP if custom else package.CLIP
    model = draw(make(**config), seed)
    if custom:
        config["custom_text"] = True
    save_file({name: value.contiguous().to(dtype) for name, value in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    model.load_state_dict({name: value.float() for name, value in load_file(folder / "open_clip_model.safetensors").items()}, strict=False)
    means = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
    preprocess = {**means, "interpolation": "bicubic", "resize_mode": "shortest"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}, indent=1))

    def encode(ids):
        padded = torch.zeros(1, 77, dtype=torch.long)
        padded[0, : ids.shape[1]] = ids[0]
        return model.encode_text(padded)

    own = tokens.open_clip(folder)

    def tokenizer(text, truncation=False, max_length=None):
        """In the form of transformers; the zeros that open_clip pads with are no token's concern."""
        whole = [own.sot_token_id, *own.encode(text), own.eot_token_id]
        if truncation:
            row = own(text, max_length)[0].tolist()
            whole, rest = row[: len(whole)], row[len(whole) :]
            assert not any(rest)
        return {"input_ids": whole}

    found = texts(tokenizer, 77, encode)
    if not custom:
        # What the cleaning does, apart from the ids: many strings differ in characters that the tiny vocabulary cannot tell apart.
        strings = tokens.HARD + tokens.MENDED
        rows = [{"text": text, "clean": own.clean_fn(text), "ids": tokenizer(text, True, 77)["input_ids"]} for text in strings]
        (folder / "cleaned.json").write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    write(folder, "open_clip", f"open_clip {make.__name__} and SimpleTokenizer, f32", dim=24, texts=found,
          images=images(model.encode_image, [(32, 32)]), logit_scale=model.logit_scale.exp().item())


CHECKPOINTS = {
    "clip": lambda at: clip(at, seed=1, dtype=SINGLE, activation="quick_gelu", style="openai"),
    "clip-laion": lambda at: clip(at, seed=2, dtype=HALF, activation="gelu", style="clip"),
    "clip-sharded": lambda at: clip(at, seed=3, dtype=BRAIN, activation="gelu", style="clip", shards="60KB"),
    "clip-image": lambda at: clip(at, seed=4, dtype=HALF, activation="quick_gelu", style="clip", towers="image"),
    "clip-text": lambda at: clip(at, seed=5, dtype=HALF, activation="quick_gelu", style="clip", towers="text"),
    "open-clip": lambda at: open_clip(at, seed=6, dtype=BRAIN, custom=False, quick=False),
    "open-clip-custom-text": lambda at: open_clip(at, seed=7, dtype=HALF, custom=True, quick=True),
    "siglip": lambda at: siglip(at, seed=8, dtype=HALF, gemma=False),
    "siglip-bare-tokenizer": siglip_bare_tokenizer,
    "siglip2": lambda at: siglip(at, seed=10, dtype=BRAIN, gemma=True),
    "dinov2": lambda at: dinov2(at, seed=11, dtype=SINGLE),
    "dinov2-registers": lambda at: dinov2(at, seed=12, dtype=HALF, registers=True),
    "dinov2-swiglu": lambda at: dinov2(at, seed=13, dtype=BRAIN, swiglu=True),
    "bert": lambda at: bert(at, seed=14, dtype=HALF),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--only", default=",".join(CHECKPOINTS), help="comma list of " + ", ".join(CHECKPOINTS))
    args = parser.parse_args()
    unknown = sorted(set(args.only.split(",")) - set(CHECKPOINTS))
    if unknown:
        parser.error(f"unknown checkpoint: {', '.join(unknown)}")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "strings.json").write_text("[\n" + ",\n".join(json.dumps(text) for text in tokens.HARD) + "\n]\n")
    for name in args.only.split(","):
        folder = args.out / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        CHECKPOINTS[name](folder)
        for file in folder.rglob("*.safetensors"):
            file.chmod(0o644)
        print(f"{name}: {sum(f.stat().st_size for f in folder.rglob('*')) / 1000:.0f} kB", file=sys.stderr)


if __name__ == "__main__":
    main()
