"""Reads the parameters of one algorithm as they are written in the matrix and in TOML.

Keys are short names of the source's parameter labels; rows and pairs are the source's
mnemonic text. A key, value or row that could never work is refused with its place."""

from collections.abc import Mapping, Sequence

from adapter.commands.flows import CommandKind
from adapter.errors import SettingsError, meant
from adapter.model.device import InstallEffect, InstallStatus, override_problem
from adapter.orders.activities import ChildKind
from adapter.orders.algorithms.rows import AlgorithmType
from adapter.orders.elements import ActivityElement, find_element
from adapter.orders.lookups import OrderLookups
from adapter.orders.tasks import FieldEffect, FieldTask

Raw = Mapping[str, object]


class ParameterReader:
    """Reads one algorithm's raw parameters, naming the place of whatever is wrong."""

    def __init__(
        self,
        type_: AlgorithmType,
        where: str,
        raw: Raw,
        labels: Mapping[str, str],
        lookups: OrderLookups,
        elements: Mapping[str, ActivityElement],
    ) -> None:
        self.where = where
        self.raw = raw
        self.lookups = lookups
        self._elements = elements
        unknown = sorted(set(raw) - set(labels))
        if unknown:
            close = meant(unknown[0], labels)
            raise SettingsError(f"{where}: {type_} has no parameter {unknown[0]!r}{close}")

    def fail(self, key: str, rule: str) -> SettingsError:
        return SettingsError(f"{self.where}, {key}: {rule}")

    def text(self, key: str, default: str = "") -> str:
        value = self.raw.get(key, default)
        if not isinstance(value, str):
            raise self.fail(key, "must be text")
        return value

    def whole(self, key: str, default: int, *, most: int) -> int:
        value = self.raw.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise self.fail(key, f"must be a whole number from 0 to {most}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.raw.get(key, default)
        if not isinstance(value, bool):
            raise self.fail(key, "must be true or false")
        return value

    def lines(self, key: str) -> tuple[str, ...]:
        """A list of texts, or one text with a row per line."""
        value = self.raw.get(key, ())
        if isinstance(value, str):
            value = [line for line in value.splitlines() if line.strip()]
        if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
            raise self.fail(key, "must be a list of texts")
        return tuple(str(each) for each in value)

    def task(self, key: str, default: str, *effects: FieldEffect) -> str:
        """A field task with these effects: the algorithm waits for just that to be done."""
        name = self.text(key, default)
        known = self.lookups.task(name)
        if known is None:
            close = meant(name, self.lookups.task_names)
            raise self.fail(key, f"{name} is not a known field task type{close}")
        self.check_effects(key, known, effects)
        return known.name

    def element(self, key: str) -> str:
        """The name of the element of an activity that an XPath selects; "" where none is given."""
        xpath = self.text(key)
        try:
            return find_element(xpath, self._elements) if xpath else ""
        except ValueError as error:
            raise self.fail(key, str(error)) from None

    def value_of(self, key: str, element: str) -> str:
        """A value that the element can have."""
        value = self.text(key)
        known = self._elements.get(element)
        if value and known is not None and known.values and value not in known.values:
            raise self.fail(key, f"{value} is not one of {', '.join(known.values)} ({element})")
        return value

    def check_effects(self, key: str, task: FieldTask, effects: Sequence[FieldEffect]) -> None:
        if not set(effects) <= set(task.successful):
            words = " and ".join(each.value for each in effects)
            raise self.fail(key, f"{task.name} is no task to {words}")

    def status(
        self, key: str, default: InstallStatus, effect: InstallEffect
    ) -> tuple[InstallStatus, str]:
        """One that a command with this effect may leave the install event in."""
        name = self.text(key, default.value)
        known = self.lookups.status(name)
        if known is None:
            names = ", ".join((*InstallStatus, *self.lookups.statuses))
            raise self.fail(key, f"{name} is not an installation status ({names})")
        if problem := override_problem(effect, known[0]):
            raise self.fail(key, problem)
        return known

    def command(self, key: str, default: str, *kinds: CommandKind) -> str:
        """The object of a command of one of `kinds`: another one would do something else."""
        name = self.text(key, default)
        objects = self.lookups.objects
        allowed = {each.name: each for each in objects.values() if each.command in kinds}
        if name not in allowed:
            raise self.fail(key, f"{name} is not {' or '.join(allowed)}")
        return name

    def activity(self, key: str, default: str, kind: ChildKind) -> str:
        """The object of an activity of that kind, which is no command."""
        name = self.text(key, default)
        allowed = [each.name for each in self.lookups.objects.values() if each.kind is kind]
        if name not in allowed and name != default:
            raise self.fail(key, f"{name} is not {' or '.join(allowed)}")
        return name
