#!/usr/bin/env python3
"""Tiny fastText models for the tests of `cribble_models::language`, and what fastText's Python package says of captions and hard strings.

    python parity/language.py                       # writes crates/models/tests/language/*.bin, *.ftz and expected.json
    python parity/language.py --check BINARY        # 10,000 captions through the stored models: ours (examples/language_rate) against fastText
    (pip install fasttext-wheel numpy)

The models are trained here, on captions that language_captions.py makes; nothing is downloaded. They are small, not good. Each shows
something of the format: losses, n-grams of characters and words, pruning, norms, a quantised output (fastText wants 256 labels for that, so
there the label is the language and a number), a last piece that is shorter than the others.
"""

import argparse
import importlib.metadata
import json
import struct
import subprocess
import tempfile
from pathlib import Path

import fasttext

from language_captions import captions

FOLDER = Path(__file__).resolve().parent.parent / "crates/models/tests/language"
SMALL = dict(epoch=8, lr=0.5, thread=1, verbose=0, minCount=2)

# name: (labels for each language, training, None or quantisation)
MODELS = {
    "hs.bin": (1, dict(dim=16, bucket=1500, minn=2, maxn=4, loss="hs"), None),  # of the shape of lid.176.bin
    "hs-cutoff-qnorm.ftz": (1, dict(dim=16, bucket=20000, minn=2, maxn=4, loss="hs"), dict(qnorm=True, cutoff=1500, retrain=True)),  # of lid.176.ftz
    "hs-many-qout-qnorm.ftz": (30, dict(dim=8, bucket=1000, minn=3, maxn=5, loss="hs"), dict(qnorm=True, qout=True)),
    "softmax-words.bin": (1, dict(dim=8, bucket=1500, minn=0, maxn=0, wordNgrams=3, loss="softmax"), None),
    "softmax.ftz": (1, dict(dim=16, bucket=1500, minn=1, maxn=3, wordNgrams=2, loss="softmax"), dict()),
    "softmax-cutoff-words.ftz": (1, dict(dim=6, minn=0, maxn=0, loss="softmax"), dict(cutoff=300)),  # pruned, and no n-gram kept
    "softmax-many-qout.ftz": (30, dict(dim=7, bucket=1000, minn=2, maxn=3, loss="softmax"), dict(qout=True)),
    "ns-qnorm.ftz": (1, dict(dim=5, bucket=1000, minn=2, maxn=3, loss="ns"), dict(qnorm=True, dsub=3)),
    "ova.bin": (1, dict(dim=5, bucket=1000, minn=2, maxn=3, loss="ova"), None),
}
HARD = [
    "", " ", "\t \u3000", "a", "HD", "1920x1080", "...", "</s>", "the cat </s> die Katze auf dem Dach", "__label__en", "__label__xx un chat noir", "<the>",
    "😀", "👨‍👩‍👧‍👦 🇩🇪 ❤️", "das Haus дом 家 la maison", "tabs\tand\rreturns\x0bvertical\x0cfeeds\x00nul", "  two  spaces  ", "ﬁne ＦＵＬＬ １２３", "cafe\u0301 café",
    "مرحبا بالعالم", "שלום עולם", "ไทยไม่มีช่องว่าง", "nbsp\u00a0joined\u2028line\u0085nel", "\U0010ffff\u0080\ufffd", "ÜBER DEN WOLKEN", "über den wolken",
    "x" * 3000, "the old man and the sea " * 400, "日本語のテキスト" * 300, "a b c d e f g h i j k l m n o p", "https://example.com/a?b=c#d IMG_2034.jpg",
]


def train(folder, name, many, options, quantisation):
    """Trains one model and saves it, quantised if asked."""
    text = Path(folder) / "train.txt"
    rows = captions(4000, "train", 7)
    label = (lambda i, language: language) if many == 1 else (lambda i, language: f"{language}-{i % many}")
    text.write_text("".join(f"__label__{label(i, language)} {caption}\n" for i, (language, caption) in enumerate(rows)))
    model = fasttext.train_supervised(str(text), **{**SMALL, **options})
    if quantisation is not None:
        again = dict(input=str(text), epoch=4, lr=0.3, thread=1) if quantisation.get("retrain") else {}
        model.quantize(**quantisation, **again, verbose=0)
    model.save_model(str(FOLDER / name))


def answers(path, texts):
    """fastText's best label and its probability for each text, or None. By its binding: the package's `predict` fails with NumPy 2, and does only this."""
    model = fasttext.load_model(str(path))
    found = [model.f.predict(text + "\n", 1, 0.0, "strict") for text in texts]
    return [[one[0][1].removeprefix("__label__"), one[0][0]] if one else None for one in found]


def record():
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows = [(None, text) for text in HARD] + captions(300, "test", 3)
    languages, texts = zip(*rows)
    expected = {"fasttext": importlib.metadata.version("fasttext-wheel"), "languages": languages, "texts": texts, "models": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name, (many, options, quantisation) in MODELS.items():
            train(folder, name, many, options, quantisation)
            expected["models"][name] = answers(FOLDER / name, texts)
            print(name, (FOLDER / name).stat().st_size, "bytes")
        # The older format says version 11, and then there are no character n-grams. The test makes the same change.
        old = Path(folder) / "old.bin"
        data = bytearray((FOLDER / "hs.bin").read_bytes())
        data[4:8] = struct.pack("<i", 11)
        old.write_bytes(data)
        expected["version 11 of hs.bin"] = answers(old, texts)
    for row in [*expected["models"].values(), expected["version 11 of hs.bin"]]:
        row[:] = [one and [one[0], round(one[1], 7)] for one in row]
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in expected.items())
    (FOLDER / "expected.json").write_text("{" + lines + "}\n")


def check(binary, extra):
    """Labels and probabilities of 10,000 captions by every model; stops at the first difference."""
    rows = captions(10000, "all", 1)
    with tempfile.TemporaryDirectory() as folder:
        texts, out = Path(folder) / "captions.txt", Path(folder) / "answers.tsv"
        texts.write_text("".join(caption + "\n" for _, caption in rows))
        for path in [FOLDER / name for name in MODELS] + extra:
            subprocess.run([binary, str(path), str(texts), "1", str(out)], check=True, capture_output=True)
            ours = [line.split("\t") for line in out.read_text().splitlines()]
            theirs = answers(path, [caption for _, caption in rows])
            wrong = [(text, a, b) for (_, text), a, b in zip(rows, ours, theirs, strict=True) if a[0] != (b[0] if b else "und")]
            apart = max(abs(float(a[1]) - (b[1] if b else 0)) for a, b in zip(ours, theirs))
            right = sum(b is not None and b[0].split("-")[0] == language for (language, _), b in zip(rows, theirs))
            print(f"{path.name}: {len(rows)} captions, {len(wrong)} labels differ, probabilities within {apart:.1e}; fastText is right on {right}")
            if wrong or apart > 1e-5:
                raise SystemExit(f"differs: {wrong[:5]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", metavar="BINARY", help="target/release/examples/language_rate")
    parser.add_argument("models", nargs="*", type=Path, help="further models to check, such as lid.176.ftz")
    args = parser.parse_args()
    check(args.check, args.models) if args.check else record()
