"""Scripts of letters, by Unicode."""

import functools
import unicodedata


@functools.lru_cache(maxsize=8_192)
def script_of_letter(char: str) -> str:
    """The first word of a letter's Unicode name (LATIN, CYRILLIC, CJK, HIRAGANA, ...); empty where it is no letter."""
    return unicodedata.name(char, "").removeprefix("FULLWIDTH ").removeprefix("HALFWIDTH ").split(" ")[0] if char.isalpha() else ""
