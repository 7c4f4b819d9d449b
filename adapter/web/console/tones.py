"""THE TABLE of tones: in which colour a state stands, the same word the same on every page.

`good`: it went as it should. `doubt`: it did not, or nobody knows. `urgent`: people are asked for
something, or nothing goes on. All other words are plain.
"""

from collections.abc import Mapping
from typing import Final

from adapter.commands.activity import TO_DO

# fmt: off
_WORDS: Final = {
    "good":   ("completed", "succeeded", "succeeded inferred", "already satisfied", "delivered",
               "ready", "answers", "free", "up to date", "there", "on"),
    "doubt":  ("failed", "unknown", "unclear", "partial", "missing", "unreachable", "no data",
               "expired", "timed out", "waits for room", "waits for its hours", "slow", "behind",
               "paused", "leaving", "off", "no supply at the service point", "in clear"),
    "urgent": ("quarantined", "refused", "given up", "damaged", "error", "gone", "stopped", "held",
               "switching is held", "too far behind", "does not answer",
               "no call leaves but a probe", "life support", "protected", "cannot be read"),
}
# fmt: on
_TONES: Final[Mapping[str, str]] = {
    **{word: tone for tone, words in _WORDS.items() for word in words},
    **{state.value.replace("_", " "): "urgent" for state in TO_DO},
}


def tone_of(value: object) -> str:
    """Of a state, by its name in code or its title."""
    word = str(value).replace("_", " ").lower()
    return "urgent" if word.endswith(" error") else _TONES.get(word, "")
