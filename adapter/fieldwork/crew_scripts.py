"""What can go wrong with a simulated crew: scripts, one row each."""

from dataclasses import dataclass
from enum import StrEnum

from adapter.engine.orders.field_work import FieldMessage
from adapter.errors import SettingsError
from adapter.orders.lookups import OrderLookups
from adapter.orders.tasks import FieldEffect


class CrewFault(StrEnum):
    NO_ACCESS = "no_access"
    """Comes back without having got in."""
    REFUSES = "refuses"
    """The message is refused for good."""
    UNAVAILABLE = "unavailable"
    """The message is not taken this time."""
    TAKEN_UNSAID = "taken_unsaid"
    """The message is taken, and the answer to it is lost."""
    CUT_AT_SOURCE = "cut_at_source"
    """Supply is opened at the source and not at the meter."""
    CUT_AT_DEVICE = "cut_at_device"
    LATE = "late"
    """Everything takes `delay_s` longer."""
    DUPLICATE = "duplicate"
    """The report comes twice."""
    LOST = "lost"
    """The work is done, and the report never comes."""
    CANCEL_REFUSED = "cancel_refused"
    """Does not let go of a visit although nobody has started."""
    CANCEL_TOO_LATE = "cancel_too_late"
    """Starts at the very moment at which it is asked to cancel."""
    RESCHEDULES = "reschedules"
    """Comes `delay_s` later, and says so."""
    LEAVES_OUT = "leaves_out"
    """Does not do what is in `leaves_out`, and says so."""
    OTHER_DEVICE = "other_device"
    """Reports to have removed a device that is not there."""
    NO_READING = "no_reading"
    LEFT_AS = "left_as"
    """The device that is installed is left as `install_status` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewScript:
    """A twist for the visits that fit; empty is any. `times` is for how many, 0 for all of them.

    Task, install status and reason may be the site's own. `reason` is that of `no_access` (cancel)
    and of `reschedules`; empty is the usual one.
    """

    twist: CrewFault
    task: str = ""
    service_point: str = ""
    times: int = 1
    delay_s: float = 0.0
    leaves_out: tuple[FieldEffect, ...] = ()
    remark: str = ""
    reason: str = ""
    install_status: str = ""

    def check(self, lookups: OrderLookups) -> None:
        """Raises SettingsError for a name that is in none of the lookups."""
        known = {CrewFault.NO_ACCESS: lookups.cancel_reasons}
        known[CrewFault.RESCHEDULES] = lookups.reschedule_reasons
        if self.task and lookups.task(self.task) is None:
            raise SettingsError(f"crew script, task: unknown field task {self.task}")
        if self.reason and self.reason not in known.get(self.twist, ()):
            raise SettingsError(f"crew script, reason: {self.reason} is none of {self.twist}")
        if (self.twist is CrewFault.LEFT_AS) != (lookups.status(self.install_status) is not None):
            raise SettingsError("crew script, install_status: a status, and left_as has one")

    def fits(self, message: FieldMessage) -> bool:
        place = self.service_point in ("", message.site.service_point)
        return place and self.task.casefold() in ("", message.task.casefold())
