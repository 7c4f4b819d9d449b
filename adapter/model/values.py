"""`replace`, the one way to copy a value with other fields; and `replace_struct`, for values in C
alone, which costs a third of it.

A value that every step copies, or that every save stores, is a `msgspec.Struct`: made, copied,
written and read in C. It is frozen and made of what is frozen, so that no circle can be closed
through it, and the garbage collector need not follow it (`gc=False`). The others are dataclasses.
"""

import dataclasses
from typing import TYPE_CHECKING, Any

from msgspec import Struct

__all__ = ["replace", "replace_struct"]

if TYPE_CHECKING:  # so that the changes are checked against the fields, of a Struct as well
    from dataclasses import replace
    from dataclasses import replace as replace_struct
else:
    from msgspec.structs import replace as replace_struct

    def replace(value: Any, /, **changes: Any) -> Any:
        """A copy in which these fields are changed. Raises TypeError for one that there is not."""
        if isinstance(value, Struct):
            return value.__replace__(**changes)
        return dataclasses.replace(value, **changes)
