"""What attributes there are, of classes as they stand in the sources and of compiled ones."""

from types import GetSetDescriptorType, MemberDescriptorType


def attribute_names(value: object) -> list[str]:
    """The attributes that `value` has of its own, in the order of the alphabet."""
    if hasattr(value, "__dict__"):
        return sorted(vars(value))
    kinds = (GetSetDescriptorType, MemberDescriptorType)
    return sorted(name for name, each in vars(type(value)).items() if isinstance(each, kinds))
