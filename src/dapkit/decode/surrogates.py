r"""PURE: unpaired surrogates in JSON: half of an emoji, such as `"\ud83d"` alone.

JSON writes a character beyond U+FFFF as two escapes, a high and a low surrogate. A program that cuts a text in two may
leave one of them. It represents no character, and most databases reject the JSON.
"""

import re

_HEX = "[0-9a-fA-F]"
# A backslash always begins an escape, which is consumed completely: so the second of two backslashes begins none.
# A pair is consumed before its halves are looked at; group 1 is a half without the other one.
_ESCAPE = re.compile(
    rf"\\(?:u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}|(u[dD][89a-fA-F]{_HEX}{{2}})|.)", re.DOTALL
)


def has_unpaired_surrogate(json_text: str) -> bool:
    """Whether a text of JSON has an unpaired surrogate."""
    return any(match[1] for match in _ESCAPE.finditer(json_text))


def replace_unpaired_surrogates(json_text: str) -> str:
    """Return a text of JSON with U+FFFD, the replacement character, in place of each unpaired surrogate."""
    return _ESCAPE.sub(lambda match: r"\ufffd" if match[1] else match[0], json_text)
