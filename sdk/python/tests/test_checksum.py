import unittest

import numpy as np

from ctdb_sdk import _checksum
from ctdb_sdk._checksum import crc32c


def one_by_one(data: bytes) -> int:
    state = 0xFFFFFFFF
    for b in data:
        state = _checksum._byte(state, b)
    return state ^ 0xFFFFFFFF


class Checksum(unittest.TestCase):
    def test_published_values(self):
        # RFC 3720, B.4, and the usual check value.
        for data, want in (
            (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E), (bytes(range(31, -1, -1)), 0x113FDB5C), (b"", 0),
        ):
            self.assertEqual(crc32c(data), want)

    def test_terms_are_a_multiple_of_the_generator(self):
        def power(n: int) -> int:  # x^n modulo the generator
            v = 1
            for _ in range(n):
                v <<= 1
                if v >> 32:
                    v ^= 0x11EDC6F41
            return v

        total = power(8 * _checksum.DEGREE)
        for k in _checksum.TERMS:
            total ^= power(8 * k)
        self.assertEqual(total, 0)

    def test_every_length_and_cut(self):
        data = np.random.default_rng(0).bytes(3 * _checksum.PIECE)
        d = _checksum.DEGREE
        for n in [*range(12), d - 1, d, d + 1, 2 * d, 2 * d + 1, 20480]:
            self.assertEqual(crc32c(data[:n]), one_by_one(data[:n]), n)
            for cut in (1, 3, n // 3):
                self.assertEqual(crc32c(data[cut:n], crc32c(data[:cut])), one_by_one(data[:n]) if cut <= n else crc32c(data[:cut]), (n, cut))
        self.assertEqual(crc32c(data), crc32c(data[5000:], crc32c(data[:5000])))

    def test_a_flipped_bit_shows(self):
        data = bytearray(np.random.default_rng(1).bytes(100_000))
        before = crc32c(data)
        for at in (0, 1, 50_000, 99_999):
            data[at] ^= 16
            self.assertNotEqual(crc32c(data), before)
            data[at] ^= 16


if __name__ == "__main__":
    unittest.main()
