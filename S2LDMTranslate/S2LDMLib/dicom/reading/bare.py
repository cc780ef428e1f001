"""A DICOM file without preamble, told by its first elements: old archives and some programs write the data set alone.

Source: DICOM PS3.5, sections 7.1 and 7.5.
"""

from __future__ import annotations

import struct

from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

_FIRST_GROUPS = (0x0002, 0x0008)
_TELLING = ((0x0002, 0x0002), (0x0008, 0x0016), (0x0008, 0x0060))  # the kind of object, or the modality
_LONGEST = 1024  # bytes of a value among the first elements
_VRS = frozenset(vr.value.encode() for vr in VR if len(vr.value) == 2)
_LONG_VRS = frozenset(vr.value.encode() for vr in EXPLICIT_VR_LENGTH_32 if len(vr.value) == 2)
_UID_CHARACTERS = frozenset(b"0123456789.")
_MODALITY_CHARACTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ")


def is_bare_dataset(head: bytes) -> bool:
    """Whether a file that begins with ``head`` begins with the elements of a DICOM data set, in rising order.

    They must come to one that names the kind of object (a UID) or the modality before ``head`` ends.
    """
    return any(_tells_what_it_is(head, order) for order in "<>")


def _tells_what_it_is(head: bytes, order: str) -> bool:
    at, last = 0, (0, -1)
    while (element := _element(head, at, order)) is not None:
        tag, start, length = element
        if tag <= last or tag[0] > _FIRST_GROUPS[-1] or (at == 0 and tag[0] not in _FIRST_GROUPS):
            return False
        value = head[start : start + length].rstrip(b"\0 ")
        if tag in _TELLING and len(head) >= start + length:
            allowed = _MODALITY_CHARACTERS if tag == _TELLING[-1] else _UID_CHARACTERS
            if value and allowed.issuperset(value):
                return True
        at, last = start + length, tag
    return False


def _element(head: bytes, at: int, order: str) -> tuple[tuple[int, int], int, int] | None:
    """Tag, first byte and length of the value of the element at a place; None where there is none that may be one."""
    if len(head) < at + 12:
        return None
    group, element, *_ = struct.unpack_from(order + "HH", head, at)
    vr = head[at + 4 : at + 6]
    if vr in _LONG_VRS:
        start, (length,) = at + 12, struct.unpack_from(order + "I", head, at + 8)
    elif vr in _VRS:
        start, (length,) = at + 8, struct.unpack_from(order + "H", head, at + 6)
    else:
        start, (length,) = at + 8, struct.unpack_from(order + "I", head, at + 4)
    if length % 2 or length > _LONGEST:
        return None
    return (group, element), start, length
