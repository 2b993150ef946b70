#!/usr/bin/env python3
"""Languages of 10,000 captions in ten languages, one thread: our detector against lingua's Python package, our reader of fastText's models
against fastText's.

    cargo build --release -p cribble-models --example language_rate
    pip install lingua-language-detector fasttext-wheel
    python bench/language.py [--count 10000] [--rounds 3]

Each side is a process of its own, timed inside from the first caption to the last: models are loaded before, and what is loaded in which time is
printed too. Rounds take turns; the best of each counts. lingua runs as it comes (all its languages), with the sixteen that our detector tells
apart by their letters, and with only the ten of the list (which nobody knows of a crawl). The captions are ours (`parity/language_captions.py`); neither detector
was trained on them. The fastText model has the shape of lid.176 (16 dimensions, n-grams of 2 to 4 characters, 2 million buckets, hierarchical
softmax: 128 MB and its `.ftz`), trained here on captions with half of the phrases of the list, so its accuracy says nothing about lid.176.

The rules of our detector (scripts, characters of Japan alone, which words are left out) were chosen while looking at the list. FRESH, 120 captions
written afterwards, is the check for that; OUTSIDE shows what it makes of languages that it does not know.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["RAYON_NUM_THREADS"] = "1"

from common import ROOT, alternate, arguments, machine, versions
from language_captions import FRESH, LANGUAGES, OUTSIDE, captions

SIXTEEN = "ar de en es fr hi it ja ko nl pt ru sv tr vi zh".split()


def peer(name, texts, answers):
    """Runs as a process of its own: prints seconds, writes a language for each text."""
    began = time.perf_counter()
    if name.startswith("lingua"):
        from lingua import IsoCode639_1, LanguageDetectorBuilder

        chosen = {"lingua-16": SIXTEEN, "lingua-10": LANGUAGES}.get(name)
        codes = [getattr(IsoCode639_1, code.upper()) for code in chosen or []]
        builder = LanguageDetectorBuilder.from_iso_codes_639_1(*codes) if chosen else LanguageDetectorBuilder.from_all_languages()
        detector = builder.with_preloaded_language_models().build()
        one = detector.detect_language_of
        code = lambda found: found.iso_code_639_1.name.lower() if found else "und"
    else:
        import fasttext

        fasttext.FastText.eprint = lambda *_: None
        model = fasttext.load_model(name).f
        # As the package's `predict` does, which fails with NumPy 2.
        one = lambda text: model.predict(text + "\n", 1, 0.0, "strict")
        code = lambda found: found[0][1].removeprefix("__label__") if found else "und"
    load = time.perf_counter() - began
    began = time.perf_counter()
    found = [one(text) for text in texts]
    seconds = time.perf_counter() - began
    Path(answers).write_text("".join(code(one) + "\n" for one in found))
    print(json.dumps({"seconds": [seconds], "load_seconds": load, "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def run(command, answers):
    """Answer of one process, with the languages that it wrote and its probabilities, where it wrote them."""
    result = json.loads(subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout)
    lines = [line.split("\t") for line in answers.read_text().splitlines()]
    return {**result, "seconds": min(result["seconds"]), "found": [line[0] for line in lines], "sure": [line[1] for line in lines if len(line) > 1]}


def big_models(folder):
    """A model of lid.176's shape and its quantised form, trained once."""
    full, small = folder / "shape-of-lid.bin", folder / "shape-of-lid.ftz"
    if not (full.exists() and small.exists()):
        import fasttext

        text = folder / "language-train.txt"
        text.write_text("".join(f"__label__{language} {caption}\n" for language, caption in captions(20000, "train", 5)))
        options = dict(dim=16, bucket=2_000_000, minn=2, maxn=4, loss="hs", epoch=3, lr=0.5, thread=1, verbose=0)
        model = fasttext.train_supervised(str(text), **options)
        model.save_model(str(full))
        model.quantize(input=str(text), qnorm=True, cutoff=50_000, retrain=True, epoch=1, thread=1, verbose=0)
        model.save_model(str(small))
    return full, small


def main():
    parser = arguments(__doc__, count=10000, binary=str(ROOT / "target/release/examples/language_rate"), texts="", answers="")
    args = parser.parse_args()
    if args.peer:
        return peer(args.peer, Path(args.texts).read_text().split("\n")[:-1], args.answers)
    data, out = Path(args.data), Path(args.out)
    for folder in (data, out):
        folder.mkdir(parents=True, exist_ok=True)
    rows = captions(args.count, "all", 1)
    texts, answers = data / "captions.txt", out / "language.tsv"
    texts.write_text("".join(caption + "\n" for _, caption in rows))
    full, small = big_models(data)
    ours = lambda model: lambda turn: run([args.binary, model, texts, 1, answers], answers)
    theirs = lambda name: lambda turn: run([sys.executable, __file__, "--peer", name, "--texts", texts, "--answers", answers], answers)
    sides = {"cribble": ours("embedded"), "lingua": theirs("lingua"), "lingua-16": theirs("lingua-16"), "lingua-10": theirs("lingua-10"),
             "cribble .bin": ours(full), "fasttext .bin": theirs(full), "cribble .ftz": ours(small), "fasttext .ftz": theirs(small)}
    facts = {"title": "language", "machine": machine(), "threads": 1, "work": len(rows), "sides": {},
             "versions": versions(args.cribble, "lingua-language-detector", "fasttext-wheel")}
    print(f"{len(rows)} captions, {sum(len(caption) for _, caption in rows) / len(rows):.0f} characters on average; {facts['machine']}; "
          f"1 thread each; {facts['versions']}")
    results = alternate(args.rounds, sides)
    best = {name: min(result["seconds"] for result in rounds) for name, rounds in results.items()}
    found = {name: rounds[-1] for name, rounds in results.items()}
    for name, result in found.items():
        right = Counter(language for (language, _), code in zip(rows, result["found"], strict=True) if code == language)
        each = {language: round(right[language] * len(LANGUAGES) / len(rows), 3) for language in LANGUAGES}
        facts["sides"][name] = {"seconds": best[name], "rate": len(rows) / best[name], "accuracy": right.total() / len(rows), "load": result["load_seconds"]}
        memory = f", peak {result['peak_rss_mb']:.0f} MB" if "peak_rss_mb" in result else ""
        print(f"{name}: {len(rows) / best[name]:,.0f} captions/s, accuracy {right.total() / len(rows):.4f}, {result['found'].count('und')} und, "
              f"loaded in {result['load_seconds']:.2f} s{memory}\n    {each}")
    rate = lambda name: facts["sides"][name]["rate"]
    for peer_name in ("lingua", "lingua-16", "lingua-10"):
        print(f"ratio: cribble's detector has {rate('cribble') / rate(peer_name):.1f} times the rate of {peer_name}")
    for kind in (".bin", ".ftz"):
        same = found[f"cribble {kind}"]["found"] == found[f"fasttext {kind}"]["found"]
        print(f"ratio: our reader has {rate(f'cribble {kind}') / rate(f'fasttext {kind}'):.2f} times the rate of fasttext on {kind}; labels equal: {same}")
    sure = Counter(), Counter()
    for (language, _), code, probability in zip(rows, found["cribble"]["found"], found["cribble"]["sure"]):
        sure[0][probability] += 1
        sure[1][probability] += code == language
    print("share right by probability:", {probability: f"{sure[1][probability] / count:.3f} of {count}" for probability, count in sorted(sure[0].items())})
    fresh = [(language, text) for language, phrases in FRESH.items() for text in phrases.split(" / ")]
    texts.write_text("".join(text + "\n" for _, text in fresh))
    for name in ("cribble", "lingua", "lingua-16", "lingua-10"):
        wrong = [f"{text} ({code})" for (language, text), code in zip(fresh, sides[name](None)["found"], strict=True) if code != language]
        print(f"{name}: right on {len(fresh) - len(wrong)} of {len(fresh)} fresh captions; wrong: {'; '.join(wrong)}")
    outside = [(language, text) for language, phrases in OUTSIDE.items() for text in phrases.split(" / ")]
    texts.write_text("".join(text + "\n" for _, text in outside))
    codes = zip(outside, *(run([args.binary, "embedded", texts, 1, answers], answers)[key] for key in ("found", "sure")))
    said = Counter("und" if code == "und" else f"a language at {float(probability):.2f}" for _, code, probability in codes)
    print(f"of {len(outside)} captions in languages that the detector does not know ({' '.join(OUTSIDE)}): {dict(said)}")
    with open(out / "results.jsonl", "a") as file:
        file.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
