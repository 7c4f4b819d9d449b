"""Writers, compiled once for each element of the contract: JSON values in, XML text out.

A writer is a closure over the constant text around its value, so that writing a message is joining
strings. They are strict: an unknown key, a missing required element, or a value of the wrong type
is a ContractViolation that names the place. Elements come out in the contract's order, whatever the
order of the keys. An absent key is an absent element; None is xsi:nil.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

from adapter.errors import ContractViolation
from adapter.wire.scalars import any_text, escaped, is_open_text, is_plain, to_text
from adapter.wire.shapes import AnyValue, Content, Field, ListOf, Scalar, Struct, walk
from adapter.wire.xml import XS, XSI

Write: TypeAlias = Callable[[object], str]

PREFIXES: Final = MappingProxyType(
    {
        "http://www.itron.com/ami/2008/10/common": "com",
        "http://www.itron.com/ami/2008/10/control": "ctl",
        "http://www.itron.com/ami/2008/10/data": "dat",
        "http://www.itron.com/ami/2008/10/events": "evt",
        "http://www.itron.com/ami/2008/10/security": "sec",
        "http://www.itron.com/ami/2012/03/control/diagnostic": "dia",
        "http://www.itron.com/ami/2009/08/provisioning": "prv",
        "http://www.itron.com/ami/2009/08/subscriptions": "sub",
        "http://schemas.microsoft.com/2003/10/Serialization/Arrays": "arr",
    }
)


def message_writer(field: Field) -> Write:
    """The writer of a whole message element, with every namespace it uses declared on it."""
    namespaces = dict.fromkeys([field.namespace, *(below.namespace for _, below in walk(field))])
    prefixes = {uri: PREFIXES.get(uri, f"n{i}") for i, uri in enumerate(namespaces) if uri}
    name = _qualified(field, prefixes)
    declared = "".join(f' xmlns:{prefix}="{escaped(uri)}"' for uri, prefix in prefixes.items())
    write = _Compiler(prefixes).content(field.content)

    def write_message(value: object) -> str:
        try:
            return f"<{name}{declared}>{write(value)}</{name}>"
        except _Misfit as misfit:
            path = [field.name, *reversed(misfit.path)]
            raise ContractViolation(str(misfit), at="/".join(path)) from None

    return write_message


class _Misfit(ValueError):
    """A value that does not fit, with the path to it, innermost name first."""

    def __init__(self, message: str, *path: str) -> None:
        super().__init__(message)
        self.path = list(path)


class _Compiler:
    def __init__(self, prefixes: Mapping[str, str]) -> None:
        self._prefixes = prefixes

    def content(self, content: Content) -> Write:
        """The writer of what stands inside an element."""
        if isinstance(content, Struct):
            return self._struct(content)
        if isinstance(content, ListOf):
            return self._list(content.item)
        if isinstance(content, Scalar):
            return to_text(content)
        return _never_sent

    def _struct(self, struct: Struct) -> Write:
        rows = [
            (field.name, field.required, (self._list if field.repeated else self._element)(field))
            for field in struct.fields
        ]
        names = frozenset(field.name for field in struct.fields)

        def write(value: object) -> str:
            # Abstract classes are slow to ask, and nearly always need not be.
            if not isinstance(value, dict) and not isinstance(value, Mapping):
                raise _Misfit(f"needs named fields, not {type(value).__name__}")
            parts = []
            for name, required, element in rows:
                if name in value:
                    try:
                        parts.append(element(value[name]))
                    except ValueError as error:
                        raise _placed(error, name) from None
                elif required:
                    raise _Misfit("is missing", name)
            if len(parts) != len(value):
                unknown = next(key for key in value if key not in names)
                raise _Misfit("is not in the contract", str(unknown))
            return "".join(parts)

        return write

    def _element(self, field: Field) -> Write:
        name = _qualified(field, self._prefixes)
        nil = f'<{name} xmlns:xsi="{XSI}" xsi:nil="true"/>' if field.nillable else ""
        opening, closing = f"<{name}>", f"</{name}>"
        content = self.content(field.content)

        def write(value: object) -> str:
            if value is not None:
                return f"{opening}{content(value)}{closing}"
            if nil:
                return nil
            raise _Misfit("may not be null")

        def write_any(value: object) -> str:
            return nil if value is None and nil else _any_element(name, value)

        return write_any if isinstance(field.content, AnyValue) else write

    def _list(self, item: Field) -> Write:
        name = _qualified(item, self._prefixes)
        opening, between, closing = f"<{name}>", f"</{name}><{name}>", f"</{name}>"
        element = self._element(item)
        open_text = isinstance(item.content, Scalar) and is_open_text(item.content)

        def write(value: object) -> str:
            if not isinstance(value, list) and (
                isinstance(value, str) or not isinstance(value, Sequence)
            ):
                raise _Misfit(f"needs a list, not {type(value).__name__}")
            if open_text and value and _is_plain_text(value):
                return f"{opening}{between.join(value)}{closing}"
            parts = []
            for index, entry in enumerate(value):
                try:
                    parts.append(element(entry))
                except ValueError as error:
                    raise _placed(error, f"[{index}]") from None
            return "".join(parts)

        return write


def _any_element(name: str, value: object) -> str:
    """An xs:anyType element from {"type": "xs:decimal", "value": "1.5"}; no type, plain text."""
    if not isinstance(value, Mapping) or not {"type", "value"} >= value.keys() >= {"value"}:
        raise _Misfit('needs {"type": "xs:...", "value": ...}')
    kind = value.get("type")
    if kind is None:
        return f"<{name}>{any_text('string', value['value'])}</{name}>"
    if not isinstance(kind, str) or not kind.startswith("xs:") or not kind[3:].isalnum():
        raise _Misfit(f"{kind!r} is not a simple type of XML Schema", "type")
    text = any_text(kind[3:], value["value"])
    return f'<{name} xmlns:xsi="{XSI}" xmlns:xs="{XS}" xsi:type="{kind}">{text}</{name}>'


def _is_plain_text(values: Sequence[object]) -> bool:
    try:
        return is_plain("".join(values))  # type: ignore[arg-type]
    except TypeError:
        return False


def _placed(error: ValueError, name: str) -> _Misfit:
    if isinstance(error, _Misfit):
        error.path.append(name)
        return error
    return _Misfit(str(error), name)


def _qualified(field: Field, prefixes: Mapping[str, str]) -> str:
    prefix = prefixes.get(field.namespace)
    return f"{prefix}:{field.name}" if prefix else field.name


def _never_sent(value: object) -> str:
    raise _Misfit("open content is never sent")
