"""How values are declared: `@record`, in a module of its own that is never compiled.

A type checker knows it as a dataclass transform (PEP 681), which leaves a mark on the function.
"""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(cls: type[_T]) -> type[_T]:
    """Declare an immutable value: slotted, keyword-only, equal by content.

    The type checker forbids to change one. At run time nothing does: a frozen dataclass sets every
    field by a call, which was a tenth of all the work of an execution.
    """
    return dataclass(unsafe_hash=True, slots=True, kw_only=True)(cls)
