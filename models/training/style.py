"""References without case and punctuation -> formatted text, so that the model does not learn to drop them.

The reference's words are kept; Whisper's formatted first-pass text gives their case and marks where it has the same
words, and a table of how it usually writes a word in mid-sentence where it has not. Texts that come formatted are kept.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher

_MARKS = ",.;:?!…"
_QUESTION = re.compile(
    r"^(who|what|when|where|why|how|which|whose|is|are|am|was|were|do|does|did|can|could|will|would|shall|should|may"
    r"|have|has|had|isn't|aren't|don't|doesn't|didn't|can't|won't)\b"
)


def is_formatted(text: str) -> bool:
    """Whether a text has case or marks of its own."""
    return any(letter.isupper() or letter in _MARKS for letter in text)


def learn_case(texts: Iterable[str]) -> dict[str, str]:
    """How formatted texts usually write each word in mid-sentence, by its key; only words that are not all small."""
    seen: dict[str, Counter[str]] = {}
    for text in texts:
        words = text.split()
        for before, word in itertools.pairwise(words):
            bare = word.strip(_MARKS + "\"'")
            if before[-1] not in ".?!…\"'-" and key(bare):
                seen.setdefault(key(bare), Counter())[bare] += 1
    table = {}
    for word, forms in seen.items():
        form, count = forms.most_common(1)[0]
        if form != form.lower() and count >= 2 and 2 * count > forms.total():
            table[word] = form
    return table


def key(word: str) -> str:
    """A word without case and marks."""
    return "".join(letter for letter in word.casefold() if letter.isalnum())


def restore(reference: str, first_pass: str, case: Mapping[str, str]) -> str:
    """Format a reference of one or more sentences (one a line).

    Args:
        reference: what was said.
        first_pass: formatted text of the same sound, with mistakes.
        case: from `learn_case`.
    """
    lines = [line.strip() for line in reference.splitlines() if line.strip()]
    heard = first_pass.split()
    formatted: list[str] = []
    for line in lines:
        if is_formatted(line):
            formatted.append(line)
            continue
        words = line.split()
        formatted.append(_sentence(words, _matches(words, heard), case))
    return " ".join(formatted)


def _matches(words: Sequence[str], heard: Sequence[str]) -> dict[int, str]:
    """What the first pass wrote, by place of the reference's equal word."""
    matcher = SequenceMatcher(None, [key(word) for word in words], [key(word) for word in heard], autojunk=False)
    found = {}
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            found[block.a + offset] = heard[block.b + offset]
    return found


def _sentence(words: Sequence[str], matches: Mapping[int, str], case: Mapping[str, str]) -> str:
    written = []
    for place, word in enumerate(words):
        form = case.get(key(word), word)
        form = form if key(form) == key(word) and ("'" in form) == ("'" in word) else word
        form = "I" + word[1:] if re.match(r"i('|$)", word) else form
        match = matches.get(place, "")
        mark = "," if match.endswith(",") and place + 1 < len(words) else ""
        written.append(form + mark)
    last = matches.get(len(words) - 1, "")
    end = last[-1] if last and last[-1] in ".?!" else ("?" if _QUESTION.match(" ".join(words)) else ".")
    text = " ".join(written).rstrip(",") + end
    return text[0].upper() + text[1:]
