"""CRC-32C (Castagnoli, as in iSCSI) with numpy alone, at gigabytes a second.

The checksum is a polynomial's remainder. Modulo the generator x^(8*563) is the sum of x^(8*k) for k in TERMS (such multiples of the generator with few terms are found by a
search; a test multiplies it out), and so is every power of two of the equation. So bytes far from the end are added, by XOR, to bytes nearer to it, large runs at a time, until
563 are left. What each of their bits contributes is in a table.
"""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

DEGREE = 563
TERMS = (109, 58, 53, 31, 0)
PIECE = 256 << 10  # bytes that stay in a processor's cache

_POLYNOMIAL = 0x82F63B78  # reflected

_contributions: Optional[np.ndarray] = None


def _table() -> np.ndarray:
    """What a bit contributes: (DEGREE bytes, 8) flattened, the last byte of the message last, bits from the lowest."""
    global _contributions
    if _contributions is None:
        byte = np.arange(256, dtype=np.uint32)
        for _ in range(8):
            byte = np.where(byte & 1, (byte >> 1) ^ np.uint32(_POLYNOMIAL), byte >> 1).astype(np.uint32)
        rows = np.empty((DEGREE, 8), np.uint32)
        now = byte[1 << np.arange(8)]
        for k in range(DEGREE):
            rows[DEGREE - 1 - k] = now
            now = (now >> np.uint32(8)) ^ byte[now & np.uint32(255)]
        _contributions = rows.reshape(-1)
    return _contributions


def crc32c(data: Any, before: int = 0) -> int:
    """The checksum of data (anything with a buffer), or of what has the checksum `before` followed by data."""
    all_bytes = np.frombuffer(data, np.uint8)
    crc = before
    for at in range(0, len(all_bytes), PIECE):
        crc = _piece(all_bytes[at : at + PIECE], crc)
    return crc


def _piece(given: np.ndarray, before: int) -> int:
    table = _table()
    state = before ^ 0xFFFFFFFF
    n = len(given)
    if n < 4:
        # The state reaches beyond the data: zeros in front do not change a remainder, so what is left of it is shifted out.
        for b in given.tolist():
            state = _byte(state, b)
        return state ^ 0xFFFFFFFF
    data = np.array(given)
    data[:4] ^= np.frombuffer(state.to_bytes(4, "little"), np.uint8)
    scale = 1
    while DEGREE * scale * 2 < n:
        scale *= 2
    at = 0  # bytes before it are folded away
    while scale:
        degree = DEGREE * scale
        run = degree - TERMS[0] * scale
        while n - at > degree:
            m = min(run, n - at - degree)
            source = data[at : at + m]
            for term in TERMS:
                to = at + degree - term * scale
                np.bitwise_xor(data[to : to + m], source, out=data[to : to + m])
            at += m
        scale //= 2
    bits = np.unpackbits(data[at:], bitorder="little")
    return int(np.bitwise_xor.reduce(table[-len(bits) :] * bits)) ^ 0xFFFFFFFF


def _byte(state: int, b: int) -> int:
    state ^= b
    for _ in range(8):
        state = (state >> 1) ^ (_POLYNOMIAL if state & 1 else 0)
    return state
