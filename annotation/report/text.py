"""Text of strangers, as it is shown: nothing invisible, nothing that turns the line around."""

from __future__ import annotations

import re

from pinpoint_data.words.base import well_formed

# Control characters but tab and newline; marks and overrides of direction; line and paragraph separators; the byte
# order mark. Joiners (U+200C, U+200D) stay: Indic scripts and emoji need them.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff]"
)


def shown(text: str) -> str:
    r"""`text` with control characters and direction overrides spelled out (`\u202e`), lone surrogates as U+FFFD."""
    if text.isascii() and text.isprintable():
        return text
    return _INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", well_formed(text))
