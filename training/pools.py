"""Reads pools made by the generator (crates/demo): pictures and captions from the tars, the truth from truth.parquet.

Shared by training and evaluation, so that both mean the same by a concept, a colour and a held-out combination.
"""

import io
import json
import re
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
from PIL import Image

# The English nouns of the 42 concepts, as crates/demo/src/draw/table.rs has them.
NOUNS = {
    "text_page": "page of text",
    "sailboat": "sailboat",
    "house": "house",
    "gradient": "gradient sky",
    "cat": "cat",
    "car": "car",
    "mountain": "mountain landscape",
    "sunflower": "sunflower",
    "bricks": "brick wall",
    "bar_chart": "bar chart",
    "skyline": "city skyline",
    "smiley": "smiley face",
    "fish": "fish",
    "cup": "cup of coffee",
    "tiles": "mosaic of tiles",
    "maple": "maple tree",
    "flag": "striped flag",
    "clock": "clock",
    "balloon": "hot-air balloon",
    "chequerboard": "chequerboard",
    "ocean": "ocean with waves",
    "die": "die",
    "planets": "planet",
    "pie_chart": "pie chart",
    "apple": "apple",
    "forest": "pine forest",
    "target": "target with rings",
    "umbrella": "umbrella",
    "butterfly": "butterfly",
    "cactus": "cactus",
    "lighthouse": "lighthouse",
    "line_chart": "line chart",
    "rocket": "rocket",
    "honeycomb": "honeycomb",
    "mushroom": "mushroom",
    "traffic_light": "traffic light",
    "spiral": "spiral",
    "playing_card": "playing card",
    "snowflake": "snowflake",
    "zigzag": "zigzag pattern",
    "calendar": "calendar page",
    "plaid": "plaid cloth",
}
CONCEPTS = list(NOUNS)

# The palette in six languages, in the forms of the captions (crates/demo/src/draw/palette.rs). Every line is one colour.
COLOURS = ["red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "brown", "black", "white", "grey"]
_WORDS = {
    "en": COLOURS,
    "de": ["Rot", "Orange", "Gelb", "Grün", "Türkis", "Blau", "Lila", "Rosa", "Braun", "Schwarz", "Weiß", "Grau"],
    "fr": ["rouge", "orange", "jaune", "verte", "turquoise", "bleue", "violette", "rose", "marron", "noire",
           "blanche", "grise"],
    "es": ["rojo", "naranja", "amarillo", "verde", "turquesa", "azul", "morado", "rosa", "marrón", "negro", "blanco",
           "gris"],
    "ru": ["красного", "оранжевого", "жёлтого", "зелёного", "бирюзового", "синего", "фиолетового", "розового",
           "коричневого", "чёрного", "белого", "серого"],
    "zh": ["红色", "橙色", "黄色", "绿色", "青色", "蓝色", "紫色", "粉色", "棕色", "黑色", "白色", "灰色"],
}  # fmt: skip
# How a language introduces the main colour, the first one that a caption names; German colours are nouns with a capital letter.
_BEFORE = {"fr": "couleur ", "es": "color "}
# Settings that name a colour of their own, which is not the subject's.
_SETTINGS = ["under a blue sky", "on a white background", "白色背景"]


@dataclass
class Row:
    """One sample that has an image."""

    uid: str
    caption: str
    concept: str
    kind: str
    twin_of: str | None
    caption_kind: str
    language: str
    jpeg: bytes

    @cached_property
    def colour(self) -> str | None:
        """The main colour that a matched caption names. The truth does not hold it, but every caption template tells it."""
        text = self.caption
        for setting in _SETTINGS:
            text = text.replace(setting, "")
        before = _BEFORE.get(self.language, "")
        places = []
        for colour, word in zip(COLOURS, _WORDS[self.language]):
            found = text.find(before + word) if self.language == "zh" else None
            if found is None:
                match = re.search(rf"\b{before}{word}\b", text)
                # A German caption that starts with a colour does not exist; one of English may start with "Red".
                if match is None and self.language == "en":
                    match = re.search(rf"\b{word.capitalize()}\b", text)
                found = match.start() if match else -1
            if found >= 0:
                places.append((found, colour))
        return min(places)[1] if places else None


def read_pool(folder: Path) -> list[Row]:
    """All samples of a pool that have an image, in the order of the tars."""
    truth = parquet.read_table(folder / "truth.parquet").to_pylist()
    truth = {row["uid"]: row for row in truth}
    rows = []
    for path in sorted((folder / "shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            jpeg = b""
            for member in tar:
                data = tar.extractfile(member).read()
                if member.name.endswith(".jpg"):
                    jpeg = data
                elif member.name.endswith(".json"):
                    record = json.loads(data)
                    told = truth[record["uid"]]
                    rows.append(Row(told["uid"], record["caption"], told["concept"], told["kind"], told["twin_of"],
                                    told["caption_kind"], told["language"], jpeg))  # fmt: skip
    return rows


def squashed(rows: list[Row], side: int, threads: int = 2) -> np.ndarray:
    """Every image at side x side pixels, whatever its aspect (bicubic with antialias): uint8, rows x side x side x 3."""
    out = np.empty((len(rows), side, side, 3), np.uint8)

    def one(place: int) -> None:
        image = Image.open(io.BytesIO(rows[place].jpeg)).convert("RGB")
        out[place] = image.resize((side, side), Image.Resampling.BICUBIC)

    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(one, range(len(rows)), chunksize=256):
            pass
    return out


def held_out(combinations: set[tuple[str, str]], seed: int = 7, share: float = 0.15) -> set[tuple[str, str]]:
    """The (concept, main colour) combinations that training never sees: of each concept with at least three colours, `share` of
    them, but at least one. A concept of one or two colours keeps them, because it has nothing to generalise from."""
    random = np.random.default_rng(seed)
    chosen = set()
    for concept in CONCEPTS:
        colours = [colour for colour in COLOURS if (concept, colour) in combinations]
        if len(colours) >= 3:
            count = max(1, round(share * len(colours)))
            chosen |= {(concept, colours[place]) for place in random.permutation(len(colours))[:count]}
    return chosen
