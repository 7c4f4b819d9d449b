"""Callbacks at signed addresses that come whole, with a head that was judged before: taken where
they are read. What is refused, and what fails, is the listener's to answer, from the beginning."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

from aiohttp import web
from msgspec import Struct

from adapter.engine import crash_points
from adapter.engine.commands.ports import Clock, Received
from adapter.engine.inbox import MessageReceiver
from adapter.server.settings import ListenerSettings
from adapter.server.whole_requests import KnownHeads, WholeConnection, lacks_body
from adapter.web.listener.addresses import Addresses
from adapter.web.listener.checks import action_of, judge_headers
from adapter.wire.codec import Codec
from adapter.wire.forms import MessageForm
from adapter.wire.inbound import HostedCall, judge_call
from adapter.wire.notifications import STATUS_CHANGED
from adapter.wire.xml import Soap

_LONGEST: Final = 8 * 1024
"""Larger ones are looked at piece by piece, so that others have their turn."""


class _KnownHead(Struct, frozen=True, gc=False):
    """The SOAP action that a head names."""

    action: str | None


class PlainCallbacks:
    """`acknowledgement` gives all bytes of an answer."""

    def __init__(
        self,
        inbox: MessageReceiver,
        codec: Codec,
        settings: ListenerSettings,
        addresses: Addresses,
        clock: Clock,
        counts: Counter[str],
        acknowledgement: Callable[[Soap], bytes],
    ) -> None:
        self._inbox = inbox
        self._codec = codec
        self._settings = settings
        self._addresses = addresses
        self._clock = clock
        self._counts = counts
        self._acknowledgement = acknowledgement
        bodies = settings.bodies
        self._longest = min(bodies.status_bytes, bodies.whole_bytes, _LONGEST)
        self._heads = KnownHeads(self._known)
        self.under_way = 0
        """Callbacks that were begun and have no answer yet."""
        self._judged: dict[tuple[MessageForm, str | None], bool] = {}

    def begin(self, data: bytes, caller: WholeConnection) -> bool:
        """See `Answering`."""
        request = self._heads.request(data)
        if request is None or len(request.body) > self._longest:
            return False
        address = self._addresses.find(request.path)
        named = None if address is None else address.communication
        if address is None or named is None or not self._inbox.genuine(named, address.secret):
            return False
        head = self._heads.find(request, data, caller)
        if head is None:
            return False
        message = self._codec.texts_at_once(request.body)
        if message is None or not self._tells_status(message.form, head.action):
            return False
        received = Received(
            operation=STATUS_CHANGED,
            raw=request.body,
            at=self._clock.now(),
            communication=named,
            remote=caller.remote,
            message=message,
        )
        crash_points.reached("listener.before_receive")
        self.under_way += 1
        self._inbox.begin(received, partial(self._stored, message.form.soap, caller))
        return True

    def awaits(self, data: bytes) -> bool:
        """See `Answering`."""
        path = lacks_body(data)
        address = None if path is None else self._addresses.find(path)
        named = None if address is None else address.communication
        return bool(address and named and self._inbox.genuine(named, address.secret))

    def _tells_status(self, form: MessageForm, action: str | None) -> bool:
        """Judged once of each form with each action: of both there are few."""
        known = self._judged.get((form, action))
        if known is None:
            call = judge_call(self._codec, form.tag, form.soap, [action])
            known = isinstance(call, HostedCall) and call.operation == STATUS_CHANGED
            self._judged[form, action] = known
        return known

    def _stored(self, soap: Soap, caller: WholeConnection, error: BaseException | None) -> None:
        self.under_way -= 1
        if error is not None:
            caller.answered(None)
            return
        crash_points.reached("listener.after_receive")
        self._counts["requests"] += 1
        self._counts["received"] += 1
        caller.answered(self._acknowledgement(soap))

    def _known(self, request: web.BaseRequest) -> _KnownHead | None:
        """None where names and passwords are asked for: each is compared, every time."""
        if self._settings.users or judge_headers(request, STATUS_CHANGED, self._longest):
            return None
        if (request.charset or "utf-8").lower() == "utf-16":
            return None  # what begins such a body is looked at
        return _KnownHead(action_of(request))
