"""The demo CLIP's tokenizer: trained on the captions, in the form of CLIP's own."""

import json

import tokenizers
import torch
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

CONTEXT = 64  # tokens; the longest caption has fewer
START, END = "<|startoftext|>", "<|endoftext|>"


def train_tokenizer(captions: list[str], merges: int) -> tokenizers.Tokenizer:
    """CLIP's kind of tokenizer, so that every loader of CLIP reads it: lower case, CLIP's split, byte-level BPE with `</w>` at the end
    of words. Its vocabulary starts with all 256 bytes and the same at the end of words, so no text is ever unknown."""

    def empty(model: models.BPE) -> tokenizers.Tokenizer:
        tokenizer = tokenizers.Tokenizer(model)
        spaces = normalizers.Replace(tokenizers.Regex(r"\s+"), " ")
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), spaces, normalizers.Lowercase()])
        words = tokenizers.Regex(
            r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
        )
        split = pre_tokenizers.Split(words, behavior="removed", invert=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    found = empty(models.BPE(end_of_word_suffix="</w>", unk_token=END))
    trainer = trainers.BpeTrainer(
        vocab_size=merges + 2 * 256,
        min_frequency=2,
        initial_alphabet=letters,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    found.train_from_iterator(captions, trainer)
    pairs = [tuple(pair) for pair in json.loads(found.to_str())["model"]["merges"]][:merges]
    words = letters + [letter + "</w>" for letter in letters]
    words += list(dict.fromkeys("".join(pair) for pair in pairs))
    words += [START, END]
    vocabulary = {word: place for place, word in enumerate(words)}
    tokenizer = empty(models.BPE(vocabulary, pairs, unk_token=END, end_of_word_suffix="</w>"))
    tokenizer.add_special_tokens([START, END])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}",
        pair=f"{START} $A {END} {END} $B {END}",
        special_tokens=[(START, vocabulary[START]), (END, vocabulary[END])],
    )
    return tokenizer


def encode(tokenizer: tokenizers.Tokenizer, texts: list[str]) -> torch.Tensor:
    """Token ids, padded with the end token: the model reads the first one and sees nothing after it (causal attention)."""
    end = tokenizer.token_to_id(END)
    ids = torch.full((len(texts), CONTEXT), end)
    for place, encoding in enumerate(tokenizer.encode_batch(texts)):
        cut = encoding.ids[:CONTEXT]
        cut[-1] = end
        ids[place, : len(cut)] = torch.tensor(cut)
    return ids


def trimmed(ids: torch.Tensor, end: int) -> torch.Tensor:
    """Without the columns where every row is padding but the first end: saves half of the text tower's time."""
    return ids[:, : int((ids != end).sum(1).max()) + 1]
