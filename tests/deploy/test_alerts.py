"""What is in deploy/: every metric that is named is scraped, each alert fires and ends."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
from prometheus_client import PROCESS_COLLECTOR

from adapter.cli import openway
from adapter.server.scrape import PREFIX
from adapter.service.metric_table import METRICS, MetricType
from tests.deploy.promtool import ROOT, RULES, promtool

TESTS: Final = ("openway_test.yml", "openway_day_test.yml")
DASHBOARD: Final = ROOT / "deploy" / "grafana" / "openway.json"
PAGE: Final = ROOT / "docs" / "measuring.md"
OF_THE_SCRAPE: Final = frozenset({"instance", "job", "le"})
"""Labels that Prometheus, or the form of a histogram, adds."""

_NAME: Final = re.compile(r"\b(?:openway|process)_\w+")
_SELECTOR: Final = re.compile(r"\b((?:openway|process)_\w+)\{([^}]*)\}")
_MATCHER: Final = re.compile(r'(\w+)\s*(=~|=|!~|!=)\s*"([^"]*)"')
_BY: Final = re.compile(r"\bby \(([^)]*)\)")
_ALERT: Final = re.compile(
    r"- alert: (\w+)\n +expr: (.*?)\n(?: +for: \w+\n)? +labels: \{severity: (\w+)\}\n"
    r' +annotations:\n +summary: "([^\n]*)"\n +action: "([^\n]*)"\n',
    re.DOTALL,
)
_SUFFIXES: Final = {MetricType.HISTOGRAM: ("_bucket", "_count", "_sum")}


@dataclass(frozen=True)
class Alert:
    name: str
    expression: str
    severity: str
    summary: str
    action: str


def alerts() -> list[Alert]:
    text = RULES.read_text(encoding="utf-8")
    found = [Alert(*each) for each in _ALERT.findall(text)]
    assert len(found) == text.count("- alert:")
    return found


def panels() -> list[dict[str, Any]]:
    return [p for p in json.loads(DASHBOARD.read_text())["panels"] if p["type"] != "row"]


def expressions() -> Iterator[str]:
    yield from (each.expression for each in alerts())
    for panel in panels():
        yield from (target["expr"] for target in panel["targets"])


def scraped() -> dict[str, tuple[str, ...]]:
    """The names of samples, with their labels; tests/cli/test_metrics.py has a live scrape agree
    with the table."""
    found = {
        f"{PREFIX}{name}{suffix}": row.labels
        for name, row in METRICS.items()
        for suffix in _SUFFIXES.get(row.type, ("",))
    }
    for family in PROCESS_COLLECTOR.collect():
        found |= {sample.name: () for sample in family.samples}
    return found


def test_every_metric_that_is_named_is_scraped_with_the_labels_that_are_named() -> None:
    known = scraped()
    for expression in expressions():
        named = set(_NAME.findall(expression))
        assert named <= known.keys() or expression.startswith("'up{"), expression
        labels = {label for name in named for label in known[name]} | OF_THE_SCRAPE
        for name, matchers in _SELECTOR.findall(expression):
            matched = {label for label, _, _ in _MATCHER.findall(matchers)}
            assert matched <= {*known[name], *OF_THE_SCRAPE}, expression
        for grouped in _BY.findall(expression):
            assert set(grouped.split(", ")) <= labels, expression


def test_a_word_of_a_label_is_one_that_there_is() -> None:
    for expression in expressions():
        for name, matchers in _SELECTOR.findall(expression):
            row = METRICS.get(name.removeprefix(PREFIX))
            words = {} if row is None else dict(zip(row.labels, row.words, strict=False))
            for label, how, word in _MATCHER.findall(matchers):
                known = words.get(label, ())
                for each in word.split("|") if "~" in how else [word]:
                    assert not known or any(re.fullmatch(each, one) for one in known), expression


def test_every_metric_is_in_an_alert_or_a_panel() -> None:
    named = {name for each in expressions() for name in _NAME.findall(each)}
    left_out = {
        name
        for name, row in METRICS.items()
        if named.isdisjoint(f"{PREFIX}{name}{s}" for s in _SUFFIXES.get(row.type, ("",)))
    }
    assert left_out == set()


def test_every_panel_says_what_it_shows() -> None:
    assert len(panels()) > 40
    for panel in panels():
        assert panel["description"].endswith("."), panel["title"]


def test_what_an_alert_says_to_type_is_a_command_that_there_is() -> None:
    for alert in alerts():
        if not alert.action.startswith("openway "):
            continue
        command: click.Command = openway
        words = alert.action.partition(":")[0].split()[1:]
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        options = {option for each in command.params for option in each.opts}
        assert {word for word in words if word.startswith("--")} <= options, alert.action


def test_the_page_has_every_alert_as_it_is() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [
        f"| `{each.name}` | {each.severity} | {each.summary} | {each.action} |" for each in alerts()
    ]
    assert [line for line in lines if line.startswith("| `Openway")] == rows


def test_each_alert_has_a_test_of_its_own() -> None:
    text = "".join((RULES.parent / name).read_text(encoding="utf-8") for name in TESTS)
    assert sorted(re.findall(r"- name: (\w+)", text)) == sorted(each.name for each in alerts())


def test_the_rules_are_rules() -> None:
    assert f"{len(alerts())} rules found" in promtool("check", "rules", RULES)
    promtool("check", "config", "--syntax-only", "prometheus.yml")


def test_what_a_panel_asks_is_promql(tmp_path: Path) -> None:
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    rules = [
        {"record": f"panel:{number}", "expr": expr.replace("$__rate_interval", "1m")}
        for number, expr in enumerate(asked)
    ]
    file = tmp_path / "panels.yml"  # what is JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(asked)} rules found" in promtool("check", "rules", file)


def test_each_alert_fires_and_ends() -> None:
    assert promtool("test", "rules", *TESTS).count("SUCCESS") == len(TESTS)
