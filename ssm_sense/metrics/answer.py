"""What a model's text answers: the letter of an option, a number, or a word."""

import re
from collections.abc import Sequence

_OPTION = re.compile(r"\s*\(?([A-Za-z])[.):]\s*(.*)", re.DOTALL)
_FIRST_LETTER = re.compile(r"\W*([a-z])(?![\w'’])")
_STATED_LETTER = re.compile(  # "a" may be an article here, unless something closes it off
    r"\b(?:answer|option|choice)(?: is| would be|:)?\W+(a(?=\W*$|[.,;:)*])|[b-z])(?![\w'’])"
)

_DIGITS = re.compile(r"(?<![\w.])-?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?!\d|,\d{3}|(?:st|nd|rd|th|d)\b)")
_STATEMENT = re.compile(r"=|\banswer(?: is\b|:)|\btotal(?: of\b| is\b|:)")

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = {"hundred": 100, "dozen": 12, "thousand": 1000}
_WORDS = {w: n for n, w in enumerate(_UNITS)} | {w: 10 * n for n, w in enumerate(_TENS, start=2)}
_NOTHING = {"no", "none", "nothing"}


def split_option(option: str, index: int) -> tuple[str, str]:
    """The letter and the text of an option: ("A", "Bed, Chair") of "A. Bed, Chair".

    An option without a letter of its own gets that of its place, `index` 0 being A.
    """
    match = _OPTION.fullmatch(option)
    return (match[1].upper(), match[2].strip()) if match else (chr(ord("A") + index), option.strip())


def parse_choice(text: str, options: Sequence[str]) -> str | None:
    """The letter that `text` chooses among `options`, or None where it chooses none or several.

    In this order: the first word, if it is an option's letter with or without punctuation ("B", "b.", "(B) Bed");
    a letter announced as the answer ("The answer is B", "option B"), the last such; the text of one option, found
    whole in the answer. A first word that is a lone letter counts even where it may have been an article, as it
    does in the official scorer.
    """
    pairs = [split_option(option, i) for i, option in enumerate(options)]
    letters = {letter for letter, _ in pairs}
    answer = " ".join(text.casefold().split())
    first = _FIRST_LETTER.match(answer)
    if first and first[1].upper() in letters:
        return first[1].upper()
    stated = [m.upper() for m in _STATED_LETTER.findall(answer) if m.upper() in letters]
    if stated:
        return stated[-1]
    found = {
        plain: letter
        for letter, option_text in pairs
        if (plain := _plain(option_text)) and re.search(rf"\b{re.escape(plain)}\b", _plain(answer))
    }
    longest = max(found, key=len, default="")
    return found[longest] if longest and all(plain in longest for plain in found) else None


def parse_number(text: str) -> float | None:
    """The number that `text` answers, or None where it holds none.

    Digits before words: "one of the rooms has 5 chairs" answers 5. Where several stand, the first one after the
    last "=", "answer is", "answer:", "total of", "total is" or "total:" is meant, otherwise the first of all;
    "10 to 12" therefore answers 10. Read are 1,200 and 2.5, "twenty-three", "one hundred and five", "two dozen",
    and, where there is no other number, "no", "none" and "nothing" as 0. Ordinals ("3rd") and digits inside words
    ("room2") are no numbers, and neither are "nan" and "inf".
    """
    lowered = text.casefold()
    statements = list(_STATEMENT.finditer(lowered))
    parts = [lowered[statements[-1].end() :]] if statements else []
    for part in [*parts, lowered]:
        if digits := _DIGITS.search(part):
            return float(digits[0].replace(",", ""))
        if (spelled := _spelled_number(part)) is not None:
            return float(spelled)
    return 0.0 if _NOTHING & set(re.findall(r"[a-z]+", lowered)) else None


def same_text(text: str, truth: str) -> bool:
    """Whether `text` answers the word or phrase `truth`, ignoring case, punctuation and articles.

    Compared are the whole answer, its first clause ("Kitchen, because …") and what follows its last "is" or "was".
    """
    wanted = _plain(truth)
    clause = re.split(r"[.,;:\n]", text.strip(), maxsplit=1)[0]
    after_verb = re.split(r"\b(?:is|was)\b", text, flags=re.IGNORECASE)[-1]
    return wanted in {_plain(text), _plain(clause), _plain(after_verb)}


def _spelled_number(text: str) -> int | None:
    """The first number spelled in words, or None."""
    total = group = 0
    found = False
    room = 1_000_000  # what the next word must stay below to belong to the same number
    for word in re.findall(r"[a-z]+|[^\sa-z-]+", text):
        if word in _WORDS and _WORDS[word] < room:
            group += _WORDS[word]
            room = 10 if _WORDS[word] >= 20 else 0
            found = True
        elif word in _SCALES:
            group = max(group, 1) * _SCALES[word]
            room = _SCALES[word]
            if word == "thousand":
                total, group = total + group, 0
            found = True
        elif found and word != "and":
            break
    return total + group if found else None


def _plain(text: str) -> str:
    """`text` in lower case, without punctuation, articles and spare blanks."""
    words = re.sub(r"[^\w\s]", " ", text.casefold()).split()
    return " ".join(word for word in words if word not in ("a", "an", "the"))
