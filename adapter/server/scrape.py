"""What /metrics says, read again: values by name and labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "openway_"
"""Of the name of every metric of the gateway's own."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """What /metrics said, in seconds since 1970. `samples`: values by name and labels."""

    at_s: float
    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    @classmethod
    def of(cls, text: str, at_s: float) -> "Scrape":
        from prometheus_client.parser import text_string_to_metric_families

        return cls(
            at_s,
            {
                (each.name.removeprefix(PREFIX), frozenset(each.labels.items())): each.value
                for family in text_string_to_metric_families(text)
                for each in family.samples
            },
        )

    @property
    def began_s(self) -> float:
        """When the process began."""
        return self.sum("process_start_time_seconds")

    def nothing_yet(self) -> "Scrape":
        """As it was then."""
        return Scrape(self.began_s, {})

    def sum(self, name: str, **labels: str) -> float:
        wanted = labels.items()
        return sum(
            value
            for (known, given), value in self.samples.items()
            if known == name and wanted <= given
        )

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """Sums by the words of a label."""
        found: dict[str, float] = {}
        for (known, given), value in self.samples.items():
            if known == name and labels.items() <= given:
                word = dict(given).get(label, "")
                found[word] = found.get(word, 0.0) + value
        return found
