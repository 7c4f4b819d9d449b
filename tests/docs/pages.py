"""README, CONTRIBUTING and docs/ taken apart: fenced blocks, headings, links, paths.

The info string of a block is its language, then words:

    toml settings file=openway.toml     what reads it; and it is written to this file
    text output                         what the python block before it prints
    console not run: why                everything after `not run:` is the reason
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (
    "README.md",
    "CONTRIBUTING.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")),
)
_FENCE: Final = "```"
_NOT_RUN: Final = "not run:"
_LINK: Final = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_CODE: Final = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block. `line` is the one of its fence, from 1; `why` is why it is not run."""

    page: str
    line: int
    language: str
    words: tuple[str, ...]
    text: str
    generated: bool
    why: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str:
        """The name of the file that the block is, or nothing."""
        named = (word.removeprefix("file=") for word in self.words if word.startswith("file="))
        return next(named, "")


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """Every fenced block of a page, in order."""
    found: list[Block] = []
    info, start, generated, gathered = "", 0, False, list[str]()
    for number, line in enumerate(read(page).splitlines(), start=1):
        if line.startswith("<!-- tables:"):
            generated = True
        elif line.startswith("<!-- /tables:"):
            generated = False
        if not line.startswith(_FENCE):
            gathered.append(line)
        elif start:
            found.append(_block(page, start, info, "\n".join(gathered) + "\n", generated))
            start = 0
        else:
            info, start, gathered = line.removeprefix(_FENCE), number, []
    assert not start, f"{page}:{start}: this block has no end"
    return found


def _block(page: str, line: int, info: str, text: str, generated: bool) -> Block:
    info, _, why = info.partition(_NOT_RUN)
    language, *words = info.split() or [""]
    return Block(
        page=page,
        line=line,
        language=language,
        words=tuple(words),
        text=text,
        generated=generated,
        why=why.strip(),
    )


def prose(page: str) -> str:
    """A page without its blocks."""
    parts = read(page).split(f"\n{_FENCE}")
    return "\n".join(parts[::2])


def links(page: str) -> Iterator[str]:
    """Targets of the links that stay in the repository."""
    for target in _LINK.findall(prose(page)):
        if "://" not in target and not target.startswith("mailto:"):
            yield target


def anchors(page: str) -> set[str]:
    """The headings of a page as links name them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def code_words(page: str) -> Iterator[str]:
    """What stands between backticks in the sentences of a page."""
    yield from _CODE.findall(prose(page))
