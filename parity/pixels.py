#!/usr/bin/env python3
"""Records what Pillow, transformers and open_clip make of small images, for the tests of crates/pixels.

    python parity/pixels.py [--out crates/pixels/tests/vectors]

Writes images/ (the files, made here by seed), vectors.json and expected.bin. Every case: size and CRC-32 of
`Image.open(file).convert("RGB")`, and for each configuration the u8 samples [3, h, w] before scaling and normalising, at an offset of expected.bin.
`values` holds whole runs with scaling and normalising: f32 at some places. Processors are transformers' Pillow backends.
Nothing is downloaded. Same package versions give the same bytes.
"""

import argparse
import importlib.metadata
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import open_clip
from PIL import Image
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

CLASSES = {"CLIPImageProcessor": CLIPImageProcessorPil, "BitImageProcessor": BitImageProcessorPil,
           "SiglipImageProcessor": SiglipImageProcessorPil, "ViTImageProcessor": ViTImageProcessorPil}


def scene(width, height, seed, channels=3):
    """Noise with a natural spectrum (amplitude 1/f), waves, and a few flat shapes with hard edges."""
    g = np.random.default_rng(seed)
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    amplitude = 1 / np.maximum(np.hypot(fy, fx), 1 / max(width, height))
    image = np.empty((height, width, channels), np.float32)
    for c in range(channels):
        spectrum = amplitude * np.exp(2j * np.pi * g.random(amplitude.shape))
        noise = np.fft.irfft2(spectrum, s=(height, width))
        image[..., c] = 128 + 45 * noise / max(noise.std(), 1e-6)
    for _ in range(6):
        x, y = g.integers(0, max(width - 2, 1)), g.integers(0, max(height - 2, 1))
        image[y:y + g.integers(1, height // 2 + 2), x:x + g.integers(1, width // 2 + 2)] = g.uniform(0, 255, channels)
    return np.clip(image, 0, 255).astype(np.uint8)


def photo(width, height, seed):
    return Image.fromarray(scene(width, height, seed))


def encoded(image, kind, **options):
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def images():
    """name -> bytes. The suffix names the format."""
    out = {}
    for i, (w, h) in enumerate([(1, 1), (1, 500), (500, 1), (7, 3), (3, 7), (2, 2), (5, 40), (16, 16), (17, 33), (120, 91), (224, 224), (333, 517)]):
        out[f"size-{w}x{h}.jpg"] = encoded(photo(w, h, 10 + i), "JPEG", quality=85 if w * h < 60_000 else 60)
    for i, (w, h) in enumerate([(1, 1), (1, 60), (7, 3), (65, 43)]):
        out[f"size-{w}x{h}.png"] = encoded(photo(w, h, 40 + i), "PNG")
    base = photo(109, 77, 50)
    for name, sampling in (("444", 0), ("422", 1), ("420", 2)):
        out[f"sampling-{name}.jpg"] = encoded(base, "JPEG", quality=80, subsampling=sampling)
        out[f"sampling-{name}-progressive.jpg"] = encoded(base, "JPEG", quality=80, subsampling=sampling, progressive=True)
    out["sampling-440.jpg"] = retold(base, 1, (2, 1), (1, 2))
    out["sampling-411.jpg"] = retold(base, 2, (2, 2), (4, 1))
    out["sampling-114.jpg"] = retold(base, 2, (2, 2), (1, 4))
    out["rgb-adobe.jpg"] = encoded(base, "JPEG", quality=80, keep_rgb=True)
    for quality in (3, 30, 100):
        out[f"quality-{quality}.jpg"] = encoded(base, "JPEG", quality=quality)
    out["optimised.jpg"] = encoded(base, "JPEG", quality=75, optimize=True)
    out["restart-blocks.jpg"] = encoded(base, "JPEG", quality=75, restart_marker_blocks=3)
    out["restart-rows.jpg"] = encoded(base, "JPEG", quality=75, restart_marker_rows=1)
    out["restart-progressive.jpg"] = encoded(base, "JPEG", quality=75, restart_marker_rows=2, progressive=True)
    out["grey.jpg"] = encoded(base.convert("L"), "JPEG", quality=80)
    out["grey-progressive.jpg"] = encoded(base.convert("L"), "JPEG", quality=80, progressive=True)
    cmyk = Image.fromarray(scene(61, 47, 51, 4), "CMYK")
    out["cmyk.jpg"] = encoded(cmyk, "JPEG", quality=85)
    out["ycck.jpg"] = adobe_transform(encoded(cmyk, "JPEG", quality=85), 2)
    exif = Image.Exif()
    exif[0x0112] = 6
    out["exif-orientation-6.jpg"] = encoded(base, "JPEG", quality=80, exif=exif)

    small = photo(53, 38, 60)
    alpha = Image.fromarray(scene(53, 38, 61, 1)[..., 0])
    rgba = small.copy()
    rgba.putalpha(alpha)
    la = small.convert("L")
    la.putalpha(alpha)
    palette = small.quantize(37)
    out["l.png"] = encoded(small.convert("L"), "PNG")
    out["la.png"] = encoded(la, "PNG")
    out["p.png"] = encoded(palette, "PNG")
    out["p-2bit.png"] = encoded(small.quantize(4), "PNG", bits=2)
    out["p-trns.png"] = encoded(palette, "PNG", transparency=5)
    out["rgb-trns.png"] = encoded(small, "PNG", transparency=small.getpixel((3, 3)))
    out["rgba.png"] = encoded(rgba, "PNG")
    out["1.png"] = encoded(small.convert("1"), "PNG")
    deep = scene(53, 38, 62, 1)[..., 0].astype(np.uint16)
    out["i16.png"] = encoded(Image.fromarray(deep * 5), "PNG")
    out["rgb16.png"] = png16(scene(20, 15, 63).astype(np.uint16) * 257 + 77)
    out["grey-4bit.png"] = png_packed(scene(21, 15, 64, 1)[..., 0] >> 4, 4)
    out["grey-2bit.png"] = png_packed(scene(21, 15, 65, 1)[..., 0] >> 6, 2)

    out["lossy.webp"] = encoded(base, "WEBP", quality=80)
    out["lossy-odd.webp"] = encoded(photo(45, 33, 66), "WEBP", quality=30)
    out["lossy-alpha.webp"] = encoded(rgba, "WEBP", quality=70)
    out["lossless.webp"] = encoded(small, "WEBP", lossless=True)
    out["lossless-alpha.webp"] = encoded(rgba, "WEBP", lossless=True, exact=True)
    frames = [photo(40, 30, 70 + i) for i in range(3)]
    out["animated.webp"] = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], quality=70)
    out["l.gif"] = encoded(small.convert("L"), "GIF")
    out["p.gif"] = encoded(palette, "GIF")
    out["p-transparent.gif"] = encoded(palette, "GIF", transparency=3)
    out["interlaced.gif"] = encoded(palette, "GIF", interlace=1)
    out["animated.gif"] = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    out["offset.gif"] = gif_at(out["p.gif"], 70, 60, 9, 11)
    out["rgb.bmp"] = encoded(photo(13, 9, 80), "BMP")
    out["p.bmp"] = encoded(photo(13, 9, 81).quantize(16), "BMP")
    out["rgba.bmp"] = encoded(Image.fromarray(scene(13, 9, 82, 4), "RGBA"), "BMP")
    return out


def retold(image, subsampling, written, told):
    """A JPEG told to be of another sampling with as many blocks in an MCU, which Pillow cannot write itself: blocks change their places."""
    data = bytearray(encoded(image, "JPEG", quality=80, subsampling=subsampling))
    at = data.index(b"\xff\xc0")
    assert data[at + 11] == written[0] << 4 | written[1]
    data[at + 11] = told[0] << 4 | told[1]
    across, down = -(-image.width // (8 * written[0])), -(-image.height // (8 * written[1]))
    # As many MCUs as before, the last ones not full.
    data[at + 5:at + 9] = struct.pack(">HH", down * 8 * told[1] - 3, across * 8 * told[0] - 1)
    return bytes(data)


def adobe_transform(data, transform):
    """The same file with another colour transform in its Adobe segment: read as YCCK, it is just other colours."""
    at = data.index(b"\xff\xee")
    assert data[at + 4:at + 9] == b"Adobe"
    data = bytearray(data)
    data[at + 15] = transform
    return bytes(data)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, bits, colour, rows):
    raw = b"".join(b"\0" + row for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def png16(samples):
    height, width, _ = samples.shape
    return png(width, height, 16, 2, [row.astype(">u2").tobytes() for row in samples])


def png_packed(samples, bits):
    height, width = samples.shape
    each = 8 // bits
    padded = np.pad(samples, ((0, 0), (0, -width % each))).reshape(height, -1, each)
    packed = sum(padded[..., i].astype(np.uint8) << (8 - bits * (i + 1)) for i in range(each)).astype(np.uint8)
    return png(width, height, bits, 0, [row.tobytes() for row in packed])


def gif_at(data, width, height, left, top):
    """The GIF on a larger screen, its frame moved."""
    data = bytearray(data)
    data[6:10] = struct.pack("<HH", width, height)
    at = 13 + 3 * (2 << (data[10] & 7)) if data[10] & 128 else 13
    while data[at] == 0x21:
        at += 2
        while data[at]:
            at += data[at] + 1
        at += 1
    assert data[at] == 0x2C
    data[at + 1:at + 5] = struct.pack("<HH", left, top)
    return bytes(data)


RAW = {"do_rescale": False, "do_normalize": False}
CLIP = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 40}, "crop_size": {"height": 40, "width": 40}, **RAW}
HUGGING_FACE = {
    "clip": CLIP,
    "dinov2": {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 50}, "crop_size": {"height": 45, "width": 44}, "resample": 3, **RAW},
    "siglip": {"image_processor_type": "SiglipImageProcessor", "size": {"height": 48, "width": 60}, "resample": 3, **RAW},
    "vit": {"image_processor_type": "ViTImageProcessor", "size": {"height": 40, "width": 40}, "resample": 2, **RAW},
    "padded": {**CLIP, "size": {"shortest_edge": 32}, "crop_size": {"height": 45, "width": 44}},
    **{f"resample-{n}": {**CLIP, "size": {"shortest_edge": 31}, "crop_size": {"height": 30, "width": 29}, "resample": n} for n in range(6)},
}
OPEN_CLIP = {
    "open_clip": {"size": 41, "resize_mode": "shortest", "interpolation": "bicubic"},
    "open_clip-longest": {"size": 48, "resize_mode": "longest", "interpolation": "bicubic"},
    "open_clip-squash": {"size": 48, "resize_mode": "squash", "interpolation": "bilinear"},
}
EVERYWHERE = ("clip", "open_clip")
THOROUGH = ("size-333x517.jpg", "size-17x33.jpg", "size-65x43.png", "size-1x60.png", "sampling-420.jpg", "rgba.png")
LONG_SIDE_LIMIT = 20_000  # transformers resizes the whole of a 1x500 image; ours and theirs only differ in the time


def samples(name, image):
    """u8 [3, h, w] of one configuration."""
    if name in HUGGING_FACE:
        config = HUGGING_FACE[name]
        processor = CLASSES[config["image_processor_type"]].from_dict(config)
        values = processor(image, return_tensors="np")["pixel_values"][0]
    else:
        options = OPEN_CLIP[name]
        transform = open_clip.image_transform(options["size"], is_train=False, resize_mode=options["resize_mode"], interpolation=options["interpolation"])
        for step in transform.transforms[:-1]:
            image = step(image)
        values = np.rint(image.numpy() * 255)
    values = np.asarray(values)
    assert values.ndim == 3 and values.shape[0] == 3, values.shape
    assert (values == values.astype(np.uint8)).all()
    return values.astype(np.uint8)


def whole_runs(files):
    """Scaled and normalised values of whole runs at 224, at 60 places."""
    runs = []
    for file, processor in (("size-333x517.jpg", "clip"), ("size-333x517.jpg", "open_clip"), ("size-120x91.jpg", "siglip")):
        image = Image.open(io.BytesIO(files[file])).convert("RGB")
        mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
        if processor == "clip":
            config = {"image_processor_type": "CLIPImageProcessor", "size": 224, "crop_size": 224, "do_normalize": True, "image_mean": mean, "image_std": std}
            values = CLIPImageProcessorPil.from_dict({**config, "size": {"shortest_edge": 224}})(image, return_tensors="np")["pixel_values"][0]
        elif processor == "siglip":
            config = {"image_processor_type": "SiglipImageProcessor", "size": {"height": 224, "width": 224}, "rescale_factor": 0.00392156862745098}
            values = SiglipImageProcessorPil.from_dict(config)(image, return_tensors="np")["pixel_values"][0]
        else:
            config = {"size": 224, "mean": mean, "std": std, "interpolation": "bicubic", "resize_mode": "shortest"}
            values = open_clip.image_transform(224, is_train=False, mean=mean, std=std)(image).numpy()
        places = np.random.default_rng(5).integers(0, values.size, 60)
        runs.append({"file": file, "processor": processor, "config": config, "places": places.tolist(), "values": [float(v) for v in values.ravel()[places]]})
    return runs


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=str(Path(__file__).resolve().parent.parent / "crates/pixels/tests/vectors"))
    out = Path(parser.parse_args().out)
    (out / "images").mkdir(parents=True, exist_ok=True)
    files, cases, store = images(), [], bytearray()
    for name, data in files.items():
        (out / "images" / name).write_bytes(data)
        # Through an array: transformers 5 would blend a P image's transparency, kept in `info`, with white.
        image = Image.fromarray(np.array(Image.open(io.BytesIO(data)).convert("RGB")))
        case = {"file": name, "width": image.width, "height": image.height, "crc32": zlib.crc32(image.tobytes()), "runs": []}
        configs = [*HUGGING_FACE, *OPEN_CLIP] if name in THOROUGH else EVERYWHERE
        for config in configs:
            if max(image.size) / min(image.size) * 64 > LONG_SIDE_LIMIT * 2:
                continue
            values = samples(config, image)
            case["runs"].append({"config": config, "height": values.shape[1], "width": values.shape[2], "offset": len(store)})
            store += values.tobytes()
        cases.append(case)
    packages = ("pillow", "transformers", "open_clip_torch", "torchvision", "numpy")
    manifest = {
        "versions": {p: importlib.metadata.version(p) for p in packages},
        "hugging_face": HUGGING_FACE,
        "open_clip": OPEN_CLIP,
        "cases": cases,
        "values": whole_runs(files),
    }
    (out / "vectors.json").write_text(json.dumps(manifest, indent=1) + "\n")
    (out / "expected.bin").write_bytes(store)
    total = sum(f.stat().st_size for f in out.rglob("*") if f.is_file())
    print(f"{len(cases)} images, {sum(len(c['runs']) for c in cases)} runs, {total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
