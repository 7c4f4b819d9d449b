"""The elements of an orchestration activity: what an order may carry, by name, and where an XPath
finds it.

Documented: the Connect New Device flag with its value D1NC, and that a parameter names an element
by an XPath. The other names, the tree and the subset of XPath are ours.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from adapter.errors import InvalidRequest, meant
from adapter.model.texts import text_problem
from adapter.model.values import replace
from adapter.orders.algorithms.rows import NEW_DEVICE
from adapter.orders.order import (
    CONNECT_NEW_DEVICE,
    DO_CONNECT,
    DO_NOT_CONNECT,
    LOAD_CHECK,
    NETTED_WITH,
    RECONNECT_ORDER,
    ServiceOrder,
)
from adapter.orders.payment import (
    CONFIRMED_BY,
    CUT_BY,
    LEFT_OFF_BY,
    PAYMENT,
    SERVICE_ENDED_BY,
)
from adapter.orders.validation import EVIDENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityElement:
    """One element. `values` is its lookup, empty for any text; `own` are elements that the gateway
    fills and nobody gives; `group` is the element of the tree that it stands in."""

    name: str
    meaning: str
    values: tuple[str, ...] = ()
    own: bool = False
    group: str = ""

    @property
    def path(self) -> str:
        return "/".join(("/activity", *([self.group] if self.group else []), self.name))


ROOT: Final = "activity"
LONGEST_VALUE: Final = 1000
"""Characters of an element's value."""

# fmt: off
_ROWS: Final = (
    ActivityElement(name=CONNECT_NEW_DEVICE, values=(DO_NOT_CONNECT, DO_CONNECT),
                    meaning="D1_CONNECT_NEW_DEVICE_FLG: is the new device connected"),
    ActivityElement(name=NEW_DEVICE, meaning="the device that a crew is to install"),
    ActivityElement(name=EVIDENCE, meaning="of a cut: what the customer was told, and when"),
    ActivityElement(name="appointmentStart", meaning="when a visit may begin, ISO 8601"),
    ActivityElement(name="appointmentEnd", meaning="when it has to be over, ISO 8601"),
    ActivityElement(name="contact", meaning="whom a crew meets, and how"),
    ActivityElement(name="instructions", meaning="for the crew"),
    ActivityElement(name="allowOverlap", values=("true", "false"),
                    meaning="whether visits may be made beside other work there"),
    ActivityElement(name=LOAD_CHECK, values=("yes", "no"),
                    meaning="is the load side checked for voltage before a remote connect"),
    ActivityElement(name=CONFIRMED_BY, meaning="who decided that a payment reconnects anyhow"),
    ActivityElement(name=LEFT_OFF_BY, own=True, meaning="who decided that supply stays off"),
    ActivityElement(name="readId", own=True, meaning="the measurements that the order goes by"),
    ActivityElement(name="readAt", own=True, meaning="their earliest time"),
    ActivityElement(name="readValue", own=True, meaning="their values"),
    ActivityElement(name="readCondition", own=True, meaning="their condition codes"),
    ActivityElement(name=PAYMENT, own=True, meaning="the payment that made the order"),
    ActivityElement(name=CUT_BY, own=True, meaning="the order that took supply away"),
    ActivityElement(name=SERVICE_ENDED_BY, own=True, meaning="the order that ended service"),
    ActivityElement(name=NETTED_WITH, own=True,
                    meaning="the order of the same day that makes switching needless"),
    ActivityElement(name=RECONNECT_ORDER, own=True,
                    meaning="of a cut that was paid for too late: the order that reconnects"),
)
# fmt: on
ELEMENTS: Final[Mapping[str, ActivityElement]] = MappingProxyType({row.name: row for row in _ROWS})
"""What the gateway comes with."""

_Read = Callable[[ServiceOrder], str]
ATTRIBUTES: Final[Mapping[str, _Read]] = MappingProxyType(
    {
        "kind": lambda order: order.kind.value,
        "activityType": lambda order: order.activity_type,
        "servicePoint": lambda order: order.service_point,
        "requester": lambda order: order.requester,
        "externalReference": lambda order: order.external_reference,
        "account": lambda order: order.account,
        "priority": lambda order: str(order.priority),
    }
)
"""Elements that every activity has; not among its fields."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def element_value(order: ServiceOrder, name: str) -> str:
    """What an activity has there; "" where it has nothing."""
    attribute = ATTRIBUTES.get(name)
    return order.fields.get(name, "") if attribute is None else attribute(order)


def with_own(elements: Iterable[ActivityElement]) -> Mapping[str, ActivityElement]:
    """The base elements with a site's own. A known one gets its values besides those it has.

    Raises ValueError for a name that cannot be one.
    """
    found = dict(ELEMENTS)
    for each in elements:
        base = ELEMENTS.get(each.name)
        if each.name in ATTRIBUTES or (base is not None and not base.values):
            raise ValueError(f"{each.name} is known already and has no lookup to extend")
        if not _NAME.fullmatch(each.name) or (each.group and not _NAME.fullmatch(each.group)):
            raise ValueError(f"{each.path} cannot be the name of an element")
        if base is not None:
            more = tuple(value for value in each.values if value not in base.values)
            each = replace(base, values=(*base.values, *more))
        found[each.name] = each
    return MappingProxyType(found)


def find_element(xpath: str, known: Mapping[str, ActivityElement]) -> str:
    """The name of the one element that an XPath selects: `connectNewDevice`, `./request/keepOn`,
    `/activity/*/keepOn`, `//keepOn`, each with or without `/text()`.

    A single name is one wherever it stands. Raises ValueError.
    """
    if _NAME.fullmatch(xpath):
        if xpath in known or xpath in ATTRIBUTES:
            return xpath
        raise ValueError(f"there is no element {xpath}{meant(xpath, [*known, *ATTRIBUTES])}")
    pattern = _pattern(xpath)
    paths = {each.path: each.name for each in known.values()}
    paths |= {f"/{ROOT}/{name}": name for name in ATTRIBUTES}
    found = sorted(name for path, name in paths.items() if pattern.fullmatch(path))
    if len(found) != 1:
        told = f"{len(found)} elements ({', '.join(found)})" if found else "no element"
        raise ValueError(f"{xpath} selects {told} of an activity")
    return found[0]


def _pattern(xpath: str) -> re.Pattern[str]:
    """The subset: steps by name or `*`, `/` and `//` between them, `.` and `text()` at the ends."""
    text = xpath.removesuffix("/text()")
    text = text.removeprefix(".") if text.startswith("./") else text
    if not text.startswith("/"):
        text = f"/{text}"
    absolute = xpath.startswith("/")
    wanted = "" if absolute else f"/{ROOT}"
    for slashes, step in re.findall(r"(/+)([^/]*)", text):
        if slashes not in ("/", "//") or not (step == "*" or _NAME.fullmatch(step)):
            raise ValueError(
                f"{xpath} is not of the XPath that is understood: names and * with / and //"
                " between them, . before and /text() behind"
            )
        wanted += "/" if slashes == "/" else "/(?:[^/]+/)*"
        wanted += "[^/]+" if step == "*" else re.escape(step)
    return re.compile(wanted)


def check_elements(fields: Mapping[str, str], known: Mapping[str, ActivityElement]) -> None:
    """Raises InvalidRequest for a name that is no element, and for a value that is too long, has
    characters that nobody sees, or is not of its lookup; blanks around free text alone are taken.
    An empty value takes an element away."""
    for name, value in fields.items():
        element = known.get(name)
        if element is None:
            given = [each.name for each in known.values() if not each.own]
            raise InvalidRequest("fields", f"there is no element {name[:40]}{meant(name, given)}")
        if element.own:
            raise InvalidRequest("fields", f"{name} is filled by the gateway")
        if (problem := text_problem(value, longest=LONGEST_VALUE)) is not None:
            raise InvalidRequest("fields", f"{name}: {problem}")
        if (element.values or name == NEW_DEVICE) and value != value.strip():
            raise InvalidRequest("fields", f"{name}: has blanks around it")
        if value and element.values and value not in element.values:
            rule = f"{name}: {value[:40]} is not one of {', '.join(element.values)}"
            raise InvalidRequest("fields", rule)
