"""A message and the same message made large: one verdict, and what is taken can be read."""

import re
from collections.abc import Callable, Mapping

import pytest

from adapter.server.settings import ListenerSettings
from adapter.wire.inbound import HostedCall, MessageJudge, Unacceptable
from adapter.wire.stream import parts
from tests.support import every_case
from tests.web.both_servers import (
    HASTY,
    SOAP_11,
    SOAP_12,
    a_rig,
    codec,
    events_arrived,
    exceptions_arrived,
    fault_of,
)
from tests.web.hostile_requests import (
    BAD_ENVELOPES,
    BARE_DATA,
    BEGINNINGS,
    before,
)
from tests.wire.hostile_messages import HOSTILE, NOT_OURS

LARGE = 300 * 1024
PADS: Mapping[str, str] = {
    "comment": "<!--" + "<x a='" * (LARGE // 6) + "-->",
    "comments": "<!-- -->" * (LARGE // 8),
    "blanks": " \n" * (LARGE // 2),
    "element": "<pad>" + "p" * LARGE + "</pad>",
    "elements": "<pad/>" * (LARGE // 6),
    "CDATA": "<pad><![CDATA[" + "<s:Body>" * (LARGE // 8) + "]]></pad>",
    "attribute": "<pad a='" + "p" * LARGE + "'/>",
    "references": "<pad>" + "&lt;" * (LARGE // 4) + "</pad>",
}
BLANK_PADS = ("comment", "comments", "blanks")
NONE = "http://schemas.microsoft.com/ws/2005/05/addressing/none"
ACTION = f'<s:Header><Action xmlns="{NONE}" s:mustUnderstand="1">urn:x/%s</Action></s:Header>'


GOOD = {
    "data": BARE_DATA,
    "events": events_arrived().decode().partition("?>")[2],
    "exceptions": exceptions_arrived().decode().partition("?>")[2],
    "header": before("<s:Body>", '<s:Header><t xmlns="urn:x"/></s:Header>'),
    "action": before("<s:Body>", ACTION % "DataArrived"),
    "another action, which is inferred and only logged": before(
        "<s:Body>", ACTION % "StatusChanged"
    ),
    "action in a comment's two halves": before("<s:Body>", ACTION % "Data<!-- -->Arrived"),
    "comment beside": before("</s:Body>", "<!-- <?x?> -->"),
    "version 1.2": BARE_DATA.replace(SOAP_11, SOAP_12),
}
RIGHT_BEGINNINGS: Mapping[str, Callable[[str], bytes]] = {
    "none": lambda text: text.encode(),
    "declared": lambda text: f"<?xml version='1.0' standalone = 'no' ?>\n{text}".encode(),
    "mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.encode("utf-16"),
}


def enlarged(text: str, pad: str) -> str:
    """The pad stands in the header where blanks may, and in the content where all may."""
    start = (
        "<s:Envelope[^>]*>" if pad in BLANK_PADS else "<sub:(Data|Events|Exceptions)Arrived[^>]*>"
    )
    return re.sub(start, lambda found: found[0] + PADS[pad], text, count=1)


def verdict(body: bytes, size: int = 8_192) -> HostedCall | tuple[str, str, str]:
    """In pieces and in one go. Without the positions that a reason names."""
    judge = MessageJudge(codec(), None)
    for start in range(0, len(body), size):
        judge.feed(body[start : start + size])
    judged = judge.finish()
    assert judged == MessageJudge(codec(), None).whole(body)
    if isinstance(judged, Unacceptable):
        return judged.code, judged.text, re.sub("line .*", "", judged.reason)
    return judged


@pytest.mark.parametrize("pad", PADS)
def test_what_is_refused_when_small_is_refused_for_the_same_when_large(pad: str) -> None:
    with every_case() as case:
        for name, text in BAD_ENVELOPES.items():
            with case(name):
                small = verdict(text.encode())
                assert not isinstance(small, HostedCall)
                assert verdict(enlarged(text, pad).encode()) == small
        for name, encode in BEGINNINGS.items():
            with case(name):
                small = verdict(encode(BARE_DATA))
                assert not isinstance(small, HostedCall)
                assert verdict(encode(enlarged(BARE_DATA, pad))) == small


@pytest.mark.parametrize("pad", PADS)
def test_what_is_taken_when_small_is_taken_when_large_and_can_be_read(pad: str) -> None:
    with every_case() as case:
        for name, text in GOOD.items():
            for beginning, encode in RIGHT_BEGINNINGS.items():
                with case((name, beginning)):
                    small, large = encode(text), encode(enlarged(text, pad))
                    assert len(large) > 256 * 1024
                    assert isinstance(verdict(small), HostedCall)
                    assert verdict(large) == verdict(small)
                    assert [part.index for part in parts([large])] == [0]


def test_every_hostile_message_is_refused_alike_however_it_is_cut() -> None:
    with every_case() as case:
        for name, body in {**HOSTILE, **NOT_OURS}.items():
            with case(name):
                assert verdict(body, 1) == verdict(body, len(body) or 1)
                taken = isinstance(verdict(body), HostedCall)
                # How many bytes a message may have is for the listener's settings to say.
                assert not taken or name in NOT_OURS or name == "too many bytes"


@pytest.mark.parametrize("pad", ["comment", "elements"])
async def test_the_listener_answers_both_sizes_alike(pad: str) -> None:
    async with a_rig(ListenerSettings(connections=HASTY)) as rig:
        with every_case() as case:
            for name, text in {"good": BARE_DATA, **BAD_ENVELOPES}.items():
                with case(name):
                    answers = [
                        await rig.post("/openway/data", body)
                        for body in (text.encode(), enlarged(text, pad).encode())
                    ]
                    statuses = [status for status, _ in answers]
                    assert statuses == ([200, 200] if name == "good" else [500, 500])
                    if name != "good":
                        assert len({fault_of(answer) for _, answer in answers}) == 1
        assert rig.listener.counts["received"] == 2
        assert rig.listener.counts["quarantined"] == 2 * len(BAD_ENVELOPES)
