"""A vision-language model of random weights with a chat template, small enough that a CPU answers dozens of questions a second.

Used by real_server.py. LLaVA's architecture, because its parts are the plainest: CLIP's eyes, a projection, Llama. Weights are drawn far
wider than a model's own start: with those, every question would get the same answer, and answers could not tell which question they are for.
"""

import sys
from pathlib import Path

import torch
from models_tokenizers import CORPUS, learn
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

SPECIAL = ["<pad>", "<s>", "</s>", "<image>"]
TEMPLATE = """{% for message in messages %}{{ message.role }}: {% if message.content is string %}{{ message.content }}{% else %}\
{% for part in message.content %}{% if part.type == 'image' %}<image>
{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}</s>
{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"""
SIDE, PATCH, WIDTH = 32, 8, 64


def tokenizer():
    """Bytes and the merges of a paragraph: every text can be written, and words of it come out as words."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=False)
    learnt = learn([list(word) for word, _ in split.pre_tokenize_str(CORPUS)], 120)
    tokens = SPECIAL + sorted(pre_tokenizers.ByteLevel.alphabet()) + [first + second for first, second in learnt]
    ids = {token: at for at, token in enumerate(dict.fromkeys(tokens))}
    made = Tokenizer(models.BPE(vocab=ids, merges=learnt))
    made.pre_tokenizer, made.decoder = split, decoders.ByteLevel()
    made.add_special_tokens(SPECIAL)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>"), ids


def make(folder, seed=1):
    """Writes model, tokenizer and processor into `folder`."""
    text, ids = tokenizer()
    eyes = CLIPVisionConfig(
        hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=2, num_attention_heads=4, image_size=SIDE, patch_size=PATCH
    )
    tongue = LlamaConfig(
        vocab_size=len(ids),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=4096,
        bos_token_id=ids["<s>"],
        eos_token_id=ids["</s>"],
        pad_token_id=ids["<pad>"],
    )
    torch.manual_seed(seed)
    config = LlavaConfig(vision_config=eyes, text_config=tongue, image_token_index=ids["<image>"], image_seq_length=(SIDE // PATCH) ** 2)
    model = LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() > 1:
                weights.normal_(0.0, 2.5 * weights.shape[-1] ** -0.5 if weights.dim() == 2 else 0.5)
    # An answer is made of letters and spaces, and has at least one token: what the client compares is then plain text.
    plain = {token for token in ids if token.replace("Ġ", "").isascii() and token.replace("Ġ", "").isalpha()}
    model.generation_config.suppress_tokens = sorted(at for token, at in ids.items() if token not in plain and token != "</s>")
    model.generation_config.begin_suppress_tokens = [ids["</s>"]]
    # After six tokens the end grows likelier with every token: an answer that its tokens cut off would be no caption.
    model.generation_config.exponential_decay_length_penalty = (6, 3.0)
    model.generation_config.do_sample = False
    model.save_pretrained(folder)
    pixels = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    LlavaProcessor(
        image_processor=pixels,
        tokenizer=text,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
        chat_template=TEMPLATE,
    ).save_pretrained(folder)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
