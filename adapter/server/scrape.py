"""What /metrics says: values by name and labels, read from its text or gathered in the process."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from prometheus_client.core import Metric

PREFIX: Final = "openway_"
"""Of the name of every metric of the gateway's own."""

_Sample = tuple[Mapping[str, str], float]


@dataclass(frozen=True, slots=True)
class Scrape:
    """What /metrics said, in seconds since 1970. `samples`: labels and value of each, by name."""

    at_s: float
    samples: Mapping[str, Sequence[_Sample]]

    @classmethod
    def of(cls, text: str, at_s: float) -> "Scrape":
        from prometheus_client.parser import text_string_to_metric_families

        return cls.of_families(text_string_to_metric_families(text), at_s)

    @classmethod
    def of_families(cls, families: "Iterable[Metric]", at_s: float) -> "Scrape":
        samples: dict[str, list[_Sample]] = {}
        for family in families:
            for each in family.samples:
                found = samples.setdefault(each.name.removeprefix(PREFIX), [])
                found.append((each.labels, each.value))
        return cls(at_s, samples)

    @property
    def began_s(self) -> float:
        """When the process began."""
        return self.sum("process_start_time_seconds")

    def nothing_yet(self) -> "Scrape":
        """As it was then."""
        return Scrape(self.began_s, {})

    def sum(self, name: str, **labels: str) -> float:
        wanted = labels.items()
        return sum(value for given, value in self.samples.get(name, ()) if wanted <= given.items())

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Sums by the words of a label."""
        found: dict[str, float] = {}
        for given, value in self.samples.get(name, ()):
            if labels.items() <= given.items():
                word = given.get(label, "")
                found[word] = found.get(word, 0.0) + value
        return found
