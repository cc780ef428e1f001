"""Does a compressed frame say that it is the image that the header describes? Asked before GDCM decodes it.

GDCM trusts what a JPEG, JPEG-LS or JPEG 2000 stream says of its size and bits, and a damaged one can end the process.

Sources: ITU-T T.81, B.2.2; T.87, C.2.2; T.800, A.5.1.
"""

from __future__ import annotations

import struct

_JPEG_START, _JPEG_2000_START = b"\xff\xd8", b"\xff\x4f\xff\x51"
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)  # start of frame
_BARE = (0x01, 0xFF, *range(0xD0, 0xD8))  # markers without a length
_END_OF_IMAGE = b"\xff\xd9"
_PADDING = 16  # bytes in which the end stands, zeros apart
_END = (0xD9, 0xDA)  # of the image; scan


def is_sound(frame: bytes, rows: int, columns: int, bits_allocated: int) -> bool:
    """Whether a frame begins like one of gray values with these rows, columns and at most these bits, and ends."""
    if _END_OF_IMAGE not in frame.rstrip(b"\0")[-_PADDING:]:
        return False  # decoders fill up in silence what a lost tail leaves out
    told = _jpeg_2000(frame) if _JPEG_2000_START in frame[:256] else _jpeg(frame)
    if told is None:
        return False
    height, width, components, bits = told
    return (height, width, components) == (rows, columns, 1) and 2 <= bits <= min(16, bits_allocated)


def _jpeg(frame: bytes) -> tuple[int, int, int, int] | None:
    """Rows, columns, components and bits by the start of the frame; None where there is none."""
    at = 2
    if not frame.startswith(_JPEG_START):
        return None
    while len(frame) >= at + 10 and frame[at] == 0xFF and frame[at + 1] not in _END:
        marker = frame[at + 1]
        if marker in _BARE:
            at += 1 if marker == 0xFF else 2
            continue
        length, bits, rows, columns, components = struct.unpack_from(">HBHHB", frame, at + 2)
        if marker in _FRAMES:
            return rows, columns, components, bits
        at += 2 + length
    return None


def _jpeg_2000(frame: bytes) -> tuple[int, int, int, int] | None:
    """The same by the SIZ marker."""
    at = frame.index(_JPEG_2000_START) + 2
    if len(frame) < at + 41:
        return None
    width, height, left, top = struct.unpack_from(">4I", frame, at + 6)
    components, bits = struct.unpack_from(">HB", frame, at + 38)
    return height - top, width - left, components, (bits & 0x7F) + 1
