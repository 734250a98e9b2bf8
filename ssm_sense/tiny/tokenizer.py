"""A word-level tokenizer: one token a word, one a digit, one a punctuation mark."""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

PAD, UNKNOWN, END = "<pad>", "<unk>", "<eos>"
SPECIAL = (PAD, UNKNOWN, END)
DIGITS = tuple("0123456789")
CONTINUED_DIGITS = tuple(f"##{digit}" for digit in DIGITS)
PUNCTUATION = tuple(".,:;?!()'-/")

WORDS = pre_tokenizers.Sequence(
    [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation(), pre_tokenizers.Digits()]
)


def words_of(text: str) -> list[str]:
    """The words of a text as the tokenizer sees them, in lower case, numbers and punctuation included."""
    return [word for word, _ in WORDS.pre_tokenize_str(text.lower())]


def tokens_of(vocabulary: Iterable[str]) -> list[str]:
    """Every token of the tokenizer for `vocabulary`, in the order of their ids; independent of its order.

    Entries of several words are taken apart, numbers are spelled in digits and need no entry.
    """
    words = {word for entry in vocabulary for word in words_of(entry)}
    for word in sorted(words):
        if not word.isdigit() and not word.isalpha() and word not in PUNCTUATION:
            raise ValueError(f"vocabulary: expected words of letters, numbers or one of {PUNCTUATION}, got {word!r}")
    alphabetic = sorted(word for word in words if word.isalpha())
    return [*SPECIAL, *DIGITS, *CONTINUED_DIGITS, *PUNCTUATION, *alphabetic]


def build_tokenizer(folder: Path, vocabulary: Iterable[str]) -> PreTrainedTokenizerFast:
    """Write a tokenizer folder for `vocabulary`, and return what AutoTokenizer will load from it.

    Text is put in lower case. A number is its digits, the first one plain and the others marked as continued
    ("12" is "1", "##2"), so that decoding gives "12" back. A word that is not in `vocabulary` becomes one <unk>.
    The folder must hold no config.json, or AutoTokenizer would let that decide the class.
    """
    if (folder / "config.json").exists():
        raise ValueError(f"{folder}: expected a folder without a config.json, which would decide the tokenizer's class")
    ids = {token: i for i, token in enumerate(tokens_of(vocabulary))}
    # WordPiece over whole words and digits: greedy matching cannot split a word, whose pieces would need "##".
    backend = Tokenizer(models.WordPiece(ids, unk_token=UNKNOWN, continuing_subword_prefix="##"))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = WORDS
    backend.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token=PAD, unk_token=UNKNOWN, eos_token=END, padding_side="right"
    )
    tokenizer.save_pretrained(folder)
    return tokenizer
