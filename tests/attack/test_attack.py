"""Attacked with hostile input, forgeries, kills, restores and clocks, it takes nothing wrongly."""

from pathlib import Path

import pytest

from tests.attack.beside import BOUND, IN_THE_WAY
from tests.attack.forged import WCF_CALLBACKS
from tests.attack.plan import LONG, SHORT, Attack, attack
from tests.attack.report import Kind, table

_NOT_KEPT = {"heads of requests", "no HTTP", "REST: no command", "callbacks: wrong credentials"}
"""What never became a request of an address, is REST's, or is counted in one row."""


_WCF = "WCF: first 401, then credentials"


def kind_of(found: Attack, name: str) -> Kind:
    return next(kind for kind in found.kinds if kind.name == name)


@pytest.mark.seconds(110)
@pytest.mark.parametrize(
    "parts",
    [("hostile", "forged", "wcf"), ("kills",), ("restores",), ("clocks",)],
    ids=["the doors", "kills", "restores", "clocks"],
)
async def test_of_a_short_attack_nothing_is_accepted_wrongly_and_all_is_kept(
    tmp_path: Path, parts: tuple[str, ...]
) -> None:
    found = await attack(tmp_path, SHORT, parts=parts)
    assert found.wrong == []
    for kind in found.kinds:
        assert kind.tried or kind.name == "clocks that are set", kind
        assert kind.refused + kind.without_effect >= kind.tried, kind
        if "hostile" in parts and kind.name not in _NOT_KEPT | {_WCF}:
            assert kind.kept == kind.refused, kind
    if "wcf" in parts:
        wcf = kind_of(found, _WCF)
        expected = (2 * WCF_CALLBACKS, 0, WCF_CALLBACKS)
        assert (wcf.tried, wcf.kept, wcf.without_effect) == expected


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.seconds(3500)
async def test_of_a_long_attack_nothing_is_accepted_wrongly_and_honest_callbacks_are_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = await attack(tmp_path, LONG)
    with capsys.disabled():
        print(f"\n{found}")  # noqa: T201
    assert found.wrong == []
    assert found.latencies is not None
    slow = {name: found.latencies.ratio(name) for name in IN_THE_WAY}
    assert all(ratio <= BOUND for ratio in slow.values()), slow


def test_what_was_accepted_wrongly_stands_below_the_table() -> None:
    kinds = [Kind(name="one", tried=2, refused=2), Kind(name="other", tried=1, wrong=["it was"])]
    text = table(kinds)
    assert text.endswith("! it was")
    assert text.splitlines()[-2].split()[:4] == ["in", "all", "3", "2"]
