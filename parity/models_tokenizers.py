"""Tiny tokenizers with the pipelines of the real ones, trained on a paragraph of our own, and the strings that are hard to tokenise.

Used by models.py. Every tokenizer has a few hundred tokens: enough for merges, unknown characters and byte fallback to happen.
"""

import gzip
import io
import json
import string
import tempfile
import unicodedata
from collections import Counter
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

CORPUS = """a photo of a red circle on a blue field . two small squares beside a large triangle , seen from above . the cat sat on the mat
and the dog ran through the tall grass . vintage poster for sale , 50 % off , free shipping ! photo by john , january 2019 . a woman in a
green dress holds an umbrella in the rain . bilder von der straße , größer als je zuvor . une photo d'un café à paris . download
wallpaper 1920x1080 mountains lake sunset reflection . it's the children's toys , they're not yours , we'll see , i've seen , i'm here ,
he'd gone , don't . product name : stainless steel water bottle 750 ml , item no. 12345 . how to bake bread at home with simple steps""".replace("\n", " ")

HARD = [
    "a photo of a cat",
    "",
    " ",
    "  leading and trailing   spaces  ",
    "tabs\tand\nnewlines\r\nand\x0bvertical\x0cfeeds",
    "A PHOTO OF A RED CIRCLE ON A BLUE FIELD",
    "it's they're we'll I've I'm he'd don't IT'S DON'T o'clock 'quoted'",
    "1 22 333 4444 12345 1,234,567.89 ½ ² ٣ 三 Ⅷ 1920x1080",
    "hello, world! (brackets) [square] {curly} <angle> \"quotes\" #hash @at $5 50% a/b a\\b a_b a-b a+b=c ~^`|;:?",
    "café naïve façade coöperate",
    "cafe\u0301 nai\u0308ve A\u030a a\u0323\u0302 q\u0307\u0323",
    "\u0301 leading combining mark",
    "Straße GRÖSSE ẞ İstanbul ıI ΑΣ ΟΔΟΣ ǅ ﬁ ﬂ Å K",
    "ＦＵＬＬＷＩＤＴＨ　ｔｅｘｔ！？，。",
    "😀 😃😄 👍🏽 🇩🇪🇫🇷 ❤️ ☺",
    "👨‍👩‍👧‍👦 👩🏾‍🚀 🏳️‍🌈 🧑‍🤝‍🧑",
    "日本語のテキストと漢字、カタカナ。",
    "中文文本，没有空格的句子。",
    "한국어 텍스트 한글",
    "\u1112\u1161\u11ab\u1100\u1173\u11af decomposed hangul",
    "مرحبا بالعالم، هذا نص عربي",
    "שלום עולם עִבְרִית",
    "mixed שלום english عربي text \u202eoverride\u202c \u200emark",
    "हिन्दी पाठ ক্ষ தமிழ் ไทยไม่มีช่องว่าง",
    "Русский текст Ёё Йй Ґґ",
    "zero\u200bwidth\u200cnon\u200djoiner\u2060word\ufeffbom \u00adsoft hyphen",
    "nbsp\u00a0here\u2003em\u2009thin\u3000ideographic\u2028line\u2029para\u0085nel",
    "nul\x00inside \x00 bell\x07 escape\x1b[0m del\x7f c1\x80\x9f",
    "\ufffd replacement \ue000 private \U000e0041 tag \U0010ffff last \ufffe",
    "&amp; &lt;b&gt; &#39; &quot;html&quot; &nbsp; &eacute; &amp;amp;",
    "<b>bold</b> <br/> https://example.com/a?b=c&d=e#f user@example.com",
    "ÃƒÂ© mojibake â€œquotesâ€\u009d schÃ¶n",
    "“smart” ‘quotes’ – en — em … ellipsis • bullet ™ ® © € £ ¥ § ¶",
    "x" * 300,
    "!" * 120,
    "word " * 90,
    "\u0928\u093f" * 60,
    "😀" * 70,
    ("the quick brown fox jumps over the lazy dog, photo number 12345; " * 47)[:3000],
    ("日本語テキスト。" * 375)[:3000],
    "<|startoftext|> inside <|endoftext|> the text",
    "</s> <unk> <pad> <eos> <bos> <mask> [CLS] [SEP] [MASK] [UNK] [PAD]",
    "▁already ▁marked▁pieces",
    "a",
    ".",
    "\n",
]


# For open_clip alone, which mends a text before it takes its tokens: what its cleaning does, and what must stay as it is.
MENDED = [
    "Tom &amp;amp; Jerry &amp;lt;b&amp;gt;",
    "a < b &amp; c &lt; d &copy; &ampx",
    "&amp; first\n<b> then &amp;amp; tag\n&amp;amp; after",
    "fish &amp chips &notit; &notin; &copy2019 &AMP &Amp; &frac12 &fjlig;",
    "&#8217;&#x2019;&#X41;&#0;&#128;&#x80;&#150;&#xD800;&#1114112;&#99999999999;&#65 &#x1f600 &#x;&#;&#a;",
    "&#11;x&#12;y&#13;z&#127;&#xfdd0;&#xffff; &#38;amp; &#59; &#x3b;",
    "P&EACUTE;REZ STRA&SZLIG;E &NTILDE; &nTILDE; &HELLIP; &NBSP; &AUML;rger",
    "&CounterClockwiseContourIntegral; &CounterClockwiseContourIntegral &nosuchentity; & &; &&amp;& R&D AT&T; a&b",
    "&lt;p&gt;caption&lt;/p&gt; &quot;quoted&quot; it&#39;s it&rsquo;s &ndash; &mdash;",
    "AC&DC;&;&#x110000;&é; &日本; &amp\u0301;",
    "cafÃ© au lait",
    "itâ€™s a womanâ€™s world â€“ reallyâ€¦",
    "â€œquotedâ€\u009d and â€œquotedâ€\ufffd and â€œquotedâ€?",
    "MÃ¼nchen StraÃŸe GrÃ¶ÃŸe Ãœber Ã–sterreich",
    "EspaÃ±a niÃ±o Â¿quÃ©? Â¡hola! corazÃ³n",
    "FranÃ§ais Ã©tÃ© NoÃ«l Å“uvre cÅ“ur Å’uvre",
    "Price: Â£25 or â‚¬30 (20Â°C) Â©2019 BrandÂ® Nameâ„¢",
    "wordÂ word, nextÂ word. endÂ ",
    "voilÃ  le travail, dÃ©jÃ  vu",
    "voilÃ le travail Ã la carte",
    "ÐŸÑ€Ð¸Ð²ÐµÑ‚ Ð¼Ð¸Ñ€",
    "Î•Î»Î»Î·Î½Î¹ÎºÎ¬",
    "æ—¥æœ¬èªž",
    "ã\u0081“ã‚“ã\u0081«ã\u0081¡ã\u0081¯",
    "ä¸\u00adæ–‡",
    "í•œêµ\u00adì–´",
    "Ù…Ø±Ø\u00adØ¨Ø§",
    "ðŸ˜€ smile ðŸ‘\u008d thumbs",
    "â\u0098ƒ snow â˜ƒ and â™¥ â˜… âœ“ â†’",
    "good 日本 with cafÃ© inside",
    "â€œ日本â€\u009d mixed schön and schÃ¶n",
    "cafÃƒÂ© twice, cafÃƒÆ’Ã‚Â© thrice",
    "ÃƒÂ¢Ã¢â€šÂ¬Ã¢â€žÂ¢",
    "naïve café über Ærøskøbing ÅNGSTRÖM Ñandú İzmir Łódź ﬁancée",
    "«Bonjour», dit-il… — «Ça va ?» “Ñ” (Î) Ð: Ü® ä™ é” ß“ Ö¿Ö",
    "MÄRZ™ CAFÉ™ É® BJÖRK© CRÈME… 50×30 5×²",
    "10°C ±5 µm ½ cup ² ³ ¼ § 5 ¶ ¢ ¤ ¦ ¨ ¯ ¸ ª º",
    "São Tomé à la mode, vis-à-vis, às vezes, Å is a unit, Â alone, Ã alone",
    "c1 \x80\x81\x85\x8d\x92\x9f end",
    "it\x92s \x93quoted\x94 \x96 dash",
    "ĲSSEL ĳs ŉ ǅ Ǆ ǆ ǈ ǋ ǲ ﬀ ﬃ ﬄ ﬅ ﬆ ﬓ œ æ",
    "ﾊﾟﾋﾟ ｶﾞ ﾡ ￡ ￢ ￣ ￤ ￥ ￦ ￨ ￭ ￼ ￾ ＂ ＇ ＆amp； ｡",
    "ʼ ‘ ’ ‚ ‛ “ ” „ ‟ ′ ″ ‹ › « » ` ´",
    "\r\r\n\n\r a\u2028b\u2029c\x85d",
    "\x1b[31mred\x1b[0m \x1b[1;4mbold \x1b[ not \x1b[5 \x1b[;K\x1b]x",
    "\x1b[\x1b[0m1m nested \x00\x01\x1a\x1c\x1d\x1e\x1f",
    "\ufeffbom \u206a\u206f \ufff9a\ufffab\ufffb \ufffc \u200e\u202a \U0001d173 \U000e0067",
    "e\u0301 \u212b \u2126 \u0958 \u1100\u1161 a\u0315\u0300\u05ae\u0301b",
    "&#x65;&#x301; &Aring; A&#778;",
    "<start_of_text> a <end_of_text> b",
    "<START_OF_TEXT><end_of_text><<end_of_text>> &lt;end_of_text&gt; x<end_of_text>y",
    "<|StartOfText|> <|endoftext|><|endoftext|>",
    "IT'S it's 'S it'\u017f he'LL 'tis d'd 'vE",
    "α\u0345β \u0345 ᾳ ⓐ Ⅷ",
    "ΣΑΣ ΟΔΌΣ. Σ ẞ İ ſ K Å ǅ \u1e9e",
    "a\u180eb\u200bc\u2007d\u202fe\u205ff\u3000g\u1680h",
    "１２３ ⅷ ² ৩ ㊿ 𝟘",
    "price\xa0\xa0$5\t\n  \x0b\x0cnext &nbsp;&emsp;&#160; &ZeroWidthSpace;",
    "it?s a woman\ufffds world \ufffd\ufffd",
    "&lt;3 &lt;&lt; &hearts; &check; &star; &NotEqualTilde; &acE;",
    "&amp;#39; &amp;quot; &amp;nbsp; &amp;amp;quot;",
    "http://x.y/?a=1&b=2&copy=3&reg=4&lt=5&para=6",
]


def learn(words, merges):
    """Byte-pair merges of words given as lists of symbols, most frequent pair first. Ours, because the trainers of `tokenizers` break ties
    by the order of a hash map: the files would differ from run to run."""
    words, learnt = [list(word) for word in words], []
    for _ in range(merges):
        pairs = Counter(pair for word in words for pair in zip(word, word[1:]))
        first, second = best = max(pairs, key=lambda pair: (pairs[pair], pair))
        learnt.append(best)
        for word in words:
            at = 0
            while at + 1 < len(word):
                if (word[at], word[at + 1]) == best:
                    word[at : at + 2] = [first + second]
                at += 1
    return learnt


def store(folder, made, settings):
    """Writes a tokenizer and what its config says of it."""
    made.save(str(folder / "tokenizer.json"), pretty=False)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))


def clip(folder, merges=90):
    """Byte-level BPE with CLIP's pattern, suffix and whole alphabet, as the tokenizer.json of openai/clip-* has it."""
    suffix = "</w>"
    pattern = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
    normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    split = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [word for word, _ in split.pre_tokenize_str(normalizer.normalize_str(CORPUS))]
    learnt = learn([[*word[:-1], word[-1] + suffix] for word in words], merges)
    vocabulary = letters + [letter + suffix for letter in letters] + [a + b for a, b in learnt]
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    ids = {token: at for at, token in enumerate(dict.fromkeys(vocabulary))}
    start, end = ids["<|startoftext|>"], ids["<|endoftext|>"]
    made = Tokenizer(
        models.BPE(
            vocab=ids, merges=learnt, unk_token="<|endoftext|>", continuing_subword_prefix="", end_of_word_suffix=suffix, fuse_unk=False
        )
    )
    made.normalizer, made.pre_tokenizer, made.decoder = normalizer, split, decoders.ByteLevel()
    made.post_processor = processors.RobertaProcessing(("<|endoftext|>", end), ("<|startoftext|>", start), False, False)
    made.add_special_tokens([AddedToken(token, normalized=False) for token in ("<|startoftext|>", "<|endoftext|>")])
    settings = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": 77,
        "tokenizer_class": "CLIPTokenizer",
    }
    store(folder, made, settings)
    return len(ids), start, end


def open_clip(folder):
    """open_clip's own tokenizer over the merges of a folder's tokenizer.json. Its vocabulary is the bytes, the merges and the special
    tokens in this order, which must be what the file has."""
    from open_clip.tokenizer import SimpleTokenizer

    file = json.loads((folder / "tokenizer.json").read_text())["model"]
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "merges.txt.gz"
        lines = ["merges"] + [pair if isinstance(pair, str) else " ".join(pair) for pair in file["merges"]]
        path.write_bytes(gzip.compress("\n".join(lines).encode()))
        made = SimpleTokenizer(bpe_path=str(path))
    renamed = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    assert {renamed.get(token, token): at for token, at in made.encoder.items()} == file["vocab"], "other ids"
    return made


def rules(path):
    """A part of NFKC as SentencePiece takes it: the whole map would be 300 kB in every fixture."""
    ranges = [(0xA0, 0xBF), (0x149, 0x149), (0x2000, 0x200A), (0x2026, 0x2026), (0x2122, 0x212B), (0x2160, 0x217F), (0x3000, 0x3000)]
    ranges += [(0xFB00, 0xFB06), (0xFF01, 0xFF5E)]
    lines = []
    for code in (code for first, last in ranges for code in range(first, last + 1)):
        mapped = unicodedata.normalize("NFKC", chr(code))
        if mapped != chr(code):
            lines.append(f"{code:X}\t" + " ".join(f"{ord(c):X}" for c in mapped))
    lines += [f"{code:X}\t20" for code in (0x9, 0xA, 0xD)] + ["41 30A\tC5", "65 301\tE9"]
    path.write_text("\n".join(lines) + "\n")
    return path


def siglip(folder, scratch, canonical):
    """A real SentencePiece unigram model, and its tokenizer.json. `canonical`: with lower-casing and punctuation in the file (as the
    fast tokenizers of google/siglip-*), or without (then the reader must add them). The slow tokenizer reads spiece.model in `scratch`."""
    import sentencepiece

    out = io.BytesIO()
    plain = CORPUS.lower().translate(str.maketrans("", "", string.punctuation))
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(plain.split())] * 4 + plain.split()),
        model_writer=out,
        normalization_rule_tsv=str(rules(scratch / "rules.tsv")),
        model_type="unigram",
        vocab_size=330,
        byte_fallback=True,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    (scratch / "spiece.model").write_bytes(out.getvalue())
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(out.getvalue())
    pieces = [(piece.piece, piece.score) for piece in proto.pieces]
    made = Tokenizer(models.Unigram(pieces, unk_id=2, byte_fallback=True))
    first = [
        normalizers.Lowercase(),
        normalizers.Replace(Regex("[" + "".join("\\" + c for c in string.punctuation) + "]"), ""),
        normalizers.Replace(Regex(r"\s+"), " "),
        normalizers.Strip(),
    ]
    then = [normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap), normalizers.Replace(Regex(" {2,}"), " ")]
    made.normalizer = normalizers.Sequence((first if canonical else []) + then)
    made.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    made.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    made.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    made.add_special_tokens([AddedToken(token, normalized=False, lstrip=True, rstrip=True) for token in ("</s>", "<unk>")])
    settings = {
        "do_lower_case": True,
        "eos_token": "</s>",
        "pad_token": "</s>",
        "unk_token": "<unk>",
        "model_max_length": 64,
        "tokenizer_class": "SiglipTokenizer",
    }
    store(folder, made, settings)
    return len(pieces)


def gemma(folder):
    """Gemma's pipeline: spaces become ▁, BPE over characters, bytes where one is unknown. The file does not lower-case, as the files on the
    Hub do not: transformers' Siglip2Tokenizer adds that when it loads."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    learnt = learn([["▁", *word] for word in CORPUS.split(" ")], 60)
    tokens = special + [f"<0x{byte:02X}>" for byte in range(256)]
    tokens += sorted(set("▁" + CORPUS.replace(" ", ""))) + [first + second for first, second in learnt]
    ids = {token: at for at, token in enumerate(dict.fromkeys(tokens))}
    made = Tokenizer(
        models.BPE(vocab=ids, merges=learnt, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    made.normalizer = normalizers.Replace(" ", "▁")
    made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    made.post_processor = processors.TemplateProcessing(single="$A <eos>", pair="$A <eos> $B <eos>", special_tokens=[("<eos>", 1)])
    made.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    settings = {
        "add_bos_token": False,
        "add_eos_token": True,
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "padding_side": "right",
        "model_max_length": 64,
        "tokenizer_class": "GemmaTokenizer",
    }
    store(folder, made, settings)
    return len(ids)


def bert(folder, length):
    """WordPiece as bert-base-uncased has it, with the truncation and padding that the files of sentence-transformers carry (and that a
    reader must ignore)."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True)
    split = pre_tokenizers.BertPreTokenizer()
    words = [word for word, _ in split.pre_tokenize_str(normalizer.normalize_str(CORPUS))]
    letters = sorted(set("".join(words)) | set("日本語中文한국1234567890!?.,'\"()-"))
    # Heads and tails of words: enough for pieces of every length, and for words that cannot be written.
    heads = Counter(word[:size] for word in words for size in (2, 3, 4, 6) if len(word) >= size)
    tails = Counter("##" + word[-size:] for word in words for size in (2, 3) if len(word) > size)
    common = [piece for counts in (heads, tails) for piece, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:120]]
    pieces = special + letters + ["##" + letter for letter in letters] + common
    ids = {piece: at for at, piece in enumerate(dict.fromkeys(pieces))}
    made = Tokenizer(models.WordPiece(vocab=ids, unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer, made.pre_tokenizer = normalizer, split
    made.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    cls, sep = made.token_to_id("[CLS]"), made.token_to_id("[SEP]")
    made.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[("[CLS]", cls), ("[SEP]", sep)]
    )
    made.decoder = decoders.WordPiece(prefix="##")
    made.enable_truncation(length // 2)
    made.enable_padding(length=length // 2)
    settings = {
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "mask_token": "[MASK]",
        "do_lower_case": True,
        "model_max_length": 512,
        "tokenizer_class": "BertTokenizer",
    }
    store(folder, made, settings)
    return made.get_vocab_size()
