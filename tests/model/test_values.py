"""`replace` copies a value of each form; a value in C is as frozen as the others."""

from collections.abc import Iterator
from importlib import import_module

import pytest
from msgspec import Struct

from adapter.commands.activity import Target
from adapter.model.device import ServicePoint
from adapter.model.ids import DeviceId, EndpointId, ServicePointId
from adapter.model.values import replace, replace_struct
from tests.architecture.sources import MODULES
from tests.architecture.test_layout import PURE, part_of


def test_a_value_of_each_form_is_copied() -> None:
    target = Target(device=DeviceId("M1"), endpoint=EndpointId("1"))
    point = ServicePoint(id=ServicePointId("SP1"))
    assert replace(target, device=DeviceId("M2")).device == "M2"
    assert replace_struct(target, device=DeviceId("M2")) == replace(target, device=DeviceId("M2"))
    assert replace(point, protected=True).protected
    assert target.device == "M1"
    assert not point.protected


@pytest.mark.parametrize(
    "value",
    [Target(device=DeviceId("M1"), endpoint=EndpointId("1")), ServicePoint(id=ServicePointId("1"))],
)
def test_a_field_that_there_is_not_cannot_be_changed(value: Target | ServicePoint) -> None:
    changes = {"colour": "red"}
    with pytest.raises(TypeError):
        replace(value, **changes)  # type: ignore[arg-type]
    if isinstance(value, Target):
        with pytest.raises(TypeError):
            replace_struct(value, **changes)  # type: ignore[arg-type]


def _structs() -> Iterator[type[Struct]]:
    for module in MODULES:
        if part_of(module) in PURE:
            name = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
            known = vars(import_module(f"adapter.{name}")).values()
            yield from (each for each in known if isinstance(each, type(Struct)))


def test_a_value_in_c_is_frozen_named_and_not_followed_by_the_collector() -> None:
    structs = set(_structs()) - {Struct}
    assert structs
    for each in structs:
        assert each.__struct_config__.frozen, each
        assert not each.__struct_config__.gc, each
        with pytest.raises(TypeError):
            each(*range(len(each.__struct_fields__) or 1))
