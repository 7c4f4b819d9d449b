"""Pure: what is to be done about a subscription, and when silence is longer than usual."""

from datetime import UTC, datetime, timedelta

import pytest

from adapter.errors import SettingsError
from adapter.service.settings import SubscriptionSettings
from adapter.service.upkeep import upkeep
from adapter.subscriptions.reconcile import (
    Generation,
    Held,
    SubscriptionKind,
    SubscriptionOperation,
    WantedSubscription,
    to_do,
)
from adapter.subscriptions.silence import SilencePolicy, allowed

HERE = "https://gw.example/openway/data"
WANTED = WantedSubscription(
    kind=SubscriptionKind.DATA,
    generation=Generation.SUBSCRIPTION_SERVICE,
    system="gateway",
    address=HERE,
)
O = SubscriptionOperation  # noqa: E741


def held(address: str = HERE, *, system: str = "gateway", kind: str = "Data") -> Held:
    return Held(system=system, addresses=(address,), kind=kind)


@pytest.mark.parametrize(
    ("there", "operations"),
    [
        (None, [O.SUBSCRIBE_DATA]),
        ((), [O.SUBSCRIBE_DATA]),
        ((held(),), []),
        ((held(kind=""),), []),
        ((held(kind="Exceptions"),), [O.SUBSCRIBE_DATA]),
        ((held(system="other"),), [O.SUBSCRIBE_DATA]),
        ((held("https://old.example/openway/data"),), [O.CANCEL_DATA, O.SUBSCRIBE_DATA]),
    ],
)
def test_only_what_is_missing_is_done(
    there: tuple[Held, ...] | None, operations: list[SubscriptionOperation]
) -> None:
    assert [call.operation for call in to_do(WANTED, there)] == operations


def test_the_settings_say_what_is_wanted_and_at_which_address() -> None:
    settings = SubscriptionSettings(
        data=Generation.DATA_SERVICE,
        exceptions=Generation.SUBSCRIPTION_SERVICE,
        exception_groups=("Feeder 7",),
    )
    data, exceptions = upkeep(settings, "https://gw.example/x/").wanted
    assert (data.address, data.generation) == (
        "https://gw.example/x/openway/data",
        Generation.DATA_SERVICE,
    )
    assert exceptions.groups == ("Feeder 7",)
    assert upkeep(SubscriptionSettings(), "https://gw.example").wanted == ()
    with pytest.raises(SettingsError, match="exceptions"):
        SubscriptionSettings(exceptions=Generation.DATA_SERVICE)


MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
POLICY = SilencePolicy(factor=2.0, least_s=600.0)


def nightly(days: int, hours: tuple[int, ...]) -> list[datetime]:
    half_past = [timedelta(hours=hour, minutes=30) for hour in hours]
    return [MONDAY + timedelta(days=day) + time for day in range(days) for time in half_past]


def test_a_setting_says_how_long_silence_may_last() -> None:
    assert allowed(SilencePolicy(allowed_s=90.0), [], MONDAY) == timedelta(seconds=90)


def test_before_two_days_nothing_is_said() -> None:
    arrivals = nightly(1, tuple(range(24)))
    assert allowed(POLICY, arrivals, MONDAY + timedelta(hours=30)) is None
    assert allowed(POLICY, [], MONDAY) is None


def test_what_is_usual_at_this_hour_is_learned() -> None:
    arrivals = nightly(10, (1, 2, 3))
    noon = MONDAY + timedelta(days=10, hours=12)
    night = MONDAY + timedelta(days=10, hours=3)
    assert allowed(POLICY, arrivals, noon) == 2 * timedelta(hours=9, minutes=30)
    assert allowed(POLICY, arrivals, night) == 2 * timedelta(hours=1)


def test_the_quiet_weekend_is_learned_from_weekends_before() -> None:
    days = [day for day in range(28) if day % 7 < 5]
    arrivals = [MONDAY + timedelta(days=day, hours=hour) for day in days for hour in range(24)]
    sunday = MONDAY + timedelta(days=27, hours=12)
    span = allowed(POLICY, arrivals, sunday)
    assert span is not None
    assert span > timedelta(days=2)
