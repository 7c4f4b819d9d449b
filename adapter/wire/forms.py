"""Messages in the form that serializers of data contracts give them, read by one expression each.

Such a message declares its namespaces in the tags that it begins with, and has no attribute behind
them. What may follow is then known from the contract and the prefixes: members in the contract's
order, texts without markup, all tags closed again. For each beginning that is met an expression is
compiled from zeep's type tree, as writers are. What it matches is well-formed and within every
bound, and holds the values that are in a parser's tree of it. All else (nil, references, comments,
blanks between elements, another order, empty elements, unknown ones) is left to the parser.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec
from lxml import etree

from adapter.errors import WireError
from adapter.model.values import replace
from adapter.wire.bounded import USUAL
from adapter.wire.scalars import FromText, JsonValue, from_text, is_open_text
from adapter.wire.shapes import Content, Field, ListOf, Scalar, Struct
from adapter.wire.xml import Soap, open_envelope

_Groups: TypeAlias = Sequence[str | None]
_Fill: TypeAlias = Callable[[_Groups], JsonValue]
_Prefixes: TypeAlias = Mapping[str, str | None]

_LONGEST_BEGINNING: Final = 2048
_FORMS_OF_ONE: Final = 8
"""A form costs milliseconds and memory, and a caller can think of ever new prefixes."""
_FORMS_OF_STRANGERS: Final = 4
"""Of all messages together, and none of those above: a flood takes no form from the head end."""

_NAME: Final = r"[A-Za-z_][\w.\-:]*"
_BEGINNING: Final = re.compile(
    r"""(?:<\?xml[ ]version="1\.0"(?:[ ]encoding="(?:utf-8|UTF-8)")?\?>\s*)?"""
    rf"""(?:<{_NAME}(?:[ ]xmlns(?::{_NAME})?="[^"<>&]+")*>)+""",
    re.VERBOSE | re.ASCII,
)
_FEW_ROWS: Final = 8
"""So few are not worth turning into columns."""

_TAG: Final = re.compile(f"<({_NAME})", re.ASCII)
_TEXT: Final = "[^<]++"
_CONTROLS: Final = bytes((*range(32), 127))


@dataclass(frozen=True, slots=True)
class _Inside:
    """What stands in an element. `group` is there where the element is; its text is the value, or
    is converted to it, or `fill` makes the value from all groups."""

    pattern: str
    group: int
    convert: FromText | None = None
    fill: _Fill | None = None


@dataclass(frozen=True, slots=True)
class _List:
    """A list is taken out of the text before this is matched. `group` is the place it leaves."""

    begin: str
    end: str
    group: int


@dataclass(frozen=True, slots=True, eq=False)
class MessageForm:
    """What stands behind one beginning of a message, whose element is `tag`. `places` has the group
    of each text by its path in the element, but for those of lists."""

    tag: str
    soap: Soap
    rest: re.Pattern[str]
    fill: _Fill
    lists: Sequence[_List]
    places: Mapping[str, int]

    def groups(self, rest: bytes) -> _Groups | None:
        """None where this is not its form."""
        try:
            text = rest.decode()
        except ValueError:
            return None
        return self._groups(text) if _is_plain(rest, text) else None

    def _groups(self, text: str) -> _Groups | None:
        taken: list[tuple[int, str]] = []
        for each in self.lists:
            begin = text.find(each.begin) + len(each.begin)
            end = text.rfind(each.end)
            if len(each.begin) <= begin <= end:
                taken.append((each.group, text[begin:end]))
                text = text[:begin] + text[end:]
        found = self.rest.fullmatch(text)
        if found is None:
            return None
        if not taken:
            return found.groups()
        groups: list[str | None] = [*found.groups()]
        for group, items in taken:
            if groups[group] is None:
                return None
            groups[group] = items
        return groups


class FormTexts(msgspec.Struct, frozen=True, gc=False):
    """The texts of one message in a form, whose values nobody has read yet."""

    form: MessageForm
    groups: _Groups

    def content(self) -> JsonValue:
        """What a reader makes of the element. Raises ValueError for what is no value."""
        return self.form.fill(self.groups)


class MessageForms:
    """Those that were met of a contract's messages, which are given by their tags."""

    def __init__(self, messages: Mapping[str, Field]) -> None:
        self._messages = messages
        self._met: dict[bytes, MessageForm] = {}
        self._left = dict.fromkeys(messages, _FORMS_OF_ONE)
        self._left_to_strangers = _FORMS_OF_STRANGERS

    def texts(self, data: bytes, *, known: bool = True) -> FormTexts | None:
        """Those of a message; None: it takes a parser. `known` says that it is from the head end or
        from ourselves, and not from anybody who found an address."""
        end = data.find(b">", data.rfind(b"=")) + 1
        if not 0 < end <= _LONGEST_BEGINNING or len(data) > USUAL.text_bytes:
            return None
        form = self._met.get(data[:end]) or self._meet(data[:end], known)
        groups = None if form is None else form.groups(data[end:])
        return None if form is None or groups is None else FormTexts(form, groups)

    def _meet(self, beginning: bytes, known: bool) -> MessageForm | None:
        if not known and not self._left_to_strangers:
            return None
        text = beginning.decode(errors="replace")
        if not _BEGINNING.fullmatch(text):
            return None
        ends = [f"</{name}>" for name in reversed(_TAG.findall(text))]
        try:
            envelope = open_envelope(f"{text}{''.join(ends)}".encode(), known=known)
        except WireError:
            return None
        message = self._messages.get(envelope.content.tag)
        if message is None or (known and not self._left[message.tag]):
            return None
        compiler = _Compiler(ends)
        inside = compiler.begun(message, [*envelope.content.iter()])
        if inside is None or inside.fill is None:
            return None
        rest = re.compile(inside.pattern + "".join(map(re.escape, ends[-2:])))
        form = MessageForm(
            message.tag, envelope.soap, rest, inside.fill, compiler.lists, compiler.places
        )
        if known:
            self._left[message.tag] -= 1
        else:
            self._left_to_strangers -= 1
        self._met[beginning] = form
        return form


class _Compiler:
    """Makes an expression from left to right and counts its groups. `ends` are the tags that close
    what is begun, the innermost first."""

    def __init__(self, ends: Sequence[str]) -> None:
        self.lists: list[_List] = []
        self.places: dict[str, int] = {}
        self._ends = ends
        self._groups = 0

    def begun(
        self, field: Field, elements: Sequence[etree._Element], path: str = ""
    ) -> _Inside | None:
        """What follows in the first element, which is that of `field`, and its end; the others are
        begun in it. None where one of them has no form."""
        content, end = field.content, self._ends[len(elements) - 1]
        prefixes = {uri: prefix for prefix, uri in elements[0].nsmap.items()}
        if len(elements) == 1 and not isinstance(content, ListOf):
            inside = self._inside(content, prefixes, "", end, path)
            return inside and replace(inside, pattern=inside.pattern + re.escape(end))
        if not isinstance(content, Struct):
            return None
        tags = ["" if each.repeated else each.tag for each in content.fields]
        if elements[1].tag not in tags:
            return None
        place, group = tags.index(elements[1].tag), self._group()
        name = content.fields[place].name
        first = self.begun(content.fields[place], elements[1:], f"{path}{name}/")
        if first is None:
            return None
        pattern, rows = self._members(content.fields[place + 1 :], prefixes, path)
        rows = [(name, first), *rows]
        return _Inside(f"(){first.pattern}{pattern}{re.escape(end)}", group, fill=_filling(rows))

    def _members(
        self, fields: Sequence[Field], prefixes: _Prefixes, path: str
    ) -> tuple[str, list[tuple[str, _Inside]]]:
        """Each may be there or not. What has no form is not among them."""
        pattern, rows = "", []
        for field in fields:
            if field.repeated or field.namespace not in prefixes:
                continue
            begin, end = _tags(field, prefixes)
            inside = self._inside(field.content, prefixes, begin, end, f"{path}{field.name}/")
            if inside is not None:
                pattern += f"(?:{re.escape(begin)}{inside.pattern}{re.escape(end)})?"
                rows.append((field.name, inside))
        return pattern, rows

    def _inside(
        self, content: Content, prefixes: _Prefixes, begin: str, end: str, path: str
    ) -> _Inside | None:
        """`path` leads to its members."""
        if isinstance(content, Scalar):
            self.places[path[:-1]] = self._groups
            return _Inside(f"({_TEXT})", self._group(), _converter(content))
        if isinstance(content, Struct):
            group = self._group()
            pattern, rows = self._members(content.fields, prefixes, path)
            return _Inside(f"(){pattern}", group, fill=_filling(rows))
        if isinstance(content, ListOf) and content.item.namespace in prefixes:
            items = _items(content.item, prefixes)
            if items is not None:
                self.lists.append(_List(begin, end, self._groups))
                return _Inside("()", self._group(), items)
        return None

    def _group(self) -> int:
        self._groups += 1
        return self._groups - 1


def _is_plain(data: bytes, text: str) -> bool:
    """Whether all characters stand for themselves, and may stand in XML."""
    if "&" in text or ("]" in text and "]]>" in text):
        return False
    if not data.isascii():
        return text.isprintable()
    return len(data.translate(None, _CONTROLS)) == len(data)


def _filling(rows: Sequence[tuple[str, _Inside]]) -> _Fill:
    table = [(name, inside.group, inside.convert, inside.fill) for name, inside in rows]

    def fill(groups: _Groups) -> JsonValue:
        found: dict[str, JsonValue] = {}
        for name, group, convert, inner in table:
            text = groups[group]
            if text is None:
                continue
            if inner is not None:
                found[name] = inner(groups)
            else:
                found[name] = text if convert is None else convert(text)
        return found

    return fill


def _items(item: Field, prefixes: _Prefixes) -> FromText | None:
    """What takes the elements of a list apart. Raises ValueError where one has not the form."""
    begin, end = map(re.escape, _tags(item, prefixes))
    if isinstance(item.content, Scalar):
        texts = re.compile(f"{begin}({_TEXT}){end}|(?s:(.+))")
        return _texts(texts, _converter(item.content))
    if not isinstance(item.content, Struct):
        return None
    columns: dict[str, FromText | None] = {}
    members = ""
    for field in item.content.fields:
        if field.repeated or field.namespace not in prefixes:
            continue
        if isinstance(field.content, Scalar):
            opens, closes = map(re.escape, _tags(field, prefixes))
            members += f"(?:{opens}({_TEXT}){closes})?"
            columns[field.name] = _converter(field.content)
    if not columns:
        return None
    return _rows(re.compile(f"{begin}{members}{end}|(?s:(.+))"), columns)


def _texts(item: re.Pattern[str], convert: FromText | None) -> FromText:
    def read(text: str) -> JsonValue:
        texts, others = zip(*item.findall(text), strict=True) if text else ((), ())
        if any(others):
            raise ValueError("not of this form")
        return list(texts if convert is None else map(convert, texts))

    return read


def _rows(row: re.Pattern[str], columns: Mapping[str, FromText | None]) -> FromText:
    """A member that is not there gives the empty text, which one that is there never has."""

    def read(text: str) -> JsonValue:
        found = row.findall(text)
        if found and found[-1][-1]:
            raise ValueError("not of this form")
        if len(found) < _FEW_ROWS:
            return [_row(columns, one) for one in found]
        texts = dict(zip(columns, zip(*found, strict=True), strict=False))
        there = {name: texts[name] for name in texts if any(texts[name])}
        if not there or not all(map(all, there.values())):
            return [_row(columns, one) for one in found]
        values = [_column(columns[name], there[name]) for name in there]
        names = tuple(there)
        return [dict(zip(names, one)) for one in zip(*values, strict=True)]  # noqa: B905

    return read


def _column(convert: FromText | None, texts: Sequence[str]) -> Sequence[JsonValue]:
    return texts if convert is None else [*map(convert, texts)]


def _row(columns: Mapping[str, FromText | None], texts: Sequence[str]) -> JsonValue:
    pairs = zip(columns.items(), texts, strict=False)
    return {
        name: text if convert is None else convert(text) for (name, convert), text in pairs if text
    }


def _converter(scalar: Scalar) -> FromText | None:
    return None if is_open_text(scalar) else from_text(scalar)


def _tags(field: Field, prefixes: _Prefixes) -> tuple[str, str]:
    prefix = prefixes[field.namespace]
    name = f"{prefix}:{field.name}" if prefix else field.name
    return f"<{name}>", f"</{name}>"
