"""How settings differ, and when what was changed is taken."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class TakenBy(StrEnum):
    """When a gateway that runs takes a setting that was changed."""

    RELOAD = "reload"
    """With `openway reload` or SIGHUP."""
    RESTART = "restart"
    COMMAND_LINE = "command_line"
    """The gateway has no use for it: the command line reads it each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingChange:
    """One setting that differs. Values are as people write them, secrets a mask; empty: it is not
    given. Where both are the same, the content of the file that it names is another."""

    name: str
    before: str
    after: str
    taken_by: TakenBy


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingState:
    """A setting in force. `origin` is "default", "file" or a variable's name; `found` is what a
    reading now would give where that differs."""

    name: str
    value: str
    origin: str
    taken_by: TakenBy
    found: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadReport:
    """What a reload has taken by name, what has changed and waits for a restart, and what could not
    be taken: of that all stays as it was."""

    taken: Sequence[str] = ()
    restart: Sequence[str] = ()
    problems: Sequence[str] = field(default=())


class RunningSettings(Protocol):
    """The settings of a gateway that runs, as far as calls look at them and change them."""

    problem: str
    """Why what the files had at the last reload is not in force; empty: it is."""

    @property
    def file(self) -> str:
        """The settings file; empty: there is none."""

    async def states(self) -> tuple[Sequence[SettingState], str]:
        """Each with what the files have now, and why that could not be taken; empty: it could."""

    async def reload(self, *, by: str, reason: str = "") -> ReloadReport:
        """Take what may change while the gateway runs. Raises StoreFailed."""
