"""Random streams that are named: what one yields depends on its seed, purpose and indices alone, never on the order or number of other draws.

So trial 17 is the same whether 20 or 20,000 trials are made, in this run or in a resumed one.
"""

from __future__ import annotations

import hashlib
import struct

import numpy as np


def stream(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """The stream of that name, e.g. stream(env.seed, "clicks", trial)."""
    name = purpose.encode()
    words = [seed, len(name)]
    h = hashlib.sha256(b"ctdb_sdk random v1" + struct.pack("<QQ", *(w & 0xFFFFFFFFFFFFFFFF for w in words)) + name)
    h.update(struct.pack(f"<{len(index)}Q", *(int(i) & 0xFFFFFFFFFFFFFFFF for i in index)))
    return np.random.Generator(np.random.Philox(key=int.from_bytes(h.digest()[:16], "little")))
