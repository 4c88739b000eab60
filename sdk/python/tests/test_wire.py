import io
import unittest

import numpy as np

import ctdb_sdk as ctdb
from ctdb_sdk import _messages as m
from ctdb_sdk import _wire, safetensors


def arrays():
    rng = np.random.default_rng(0)
    out = ctdb.Arrays({
        "inputs": rng.standard_normal((5, 70, 3)).astype(np.float32), "targets": rng.standard_normal((5, 70, 1)), "conds": np.arange(5),
        "none": np.empty((5, 0), np.float32), "large": rng.standard_normal((5, 80_000)),
    })
    out.units["inputs"] = "1/s"
    out.axes["inputs"] = ("trial", "bin", "channel")
    return out


class Frames(unittest.TestCase):
    def check_equal(self, a, b):
        self.assertEqual(list(a), list(b))
        for name in a:
            self.assertEqual(np.asarray(a[name]).dtype, b[name].dtype, name)
            np.testing.assert_array_equal(a[name], b[name])

    def test_round_trip(self):
        given = [ctdb.Block(np.arange(5) + 7, arrays()), ctdb.Block([1, 2, 3, 4, 5], arrays())]
        frames = [m.tensor.Frame.FromString(f.SerializeToString()) for f in _wire.block_frames(given)]
        self.assertTrue(all(len(f.data) <= _wire.CHUNK for f in frames))
        got = list(_wire.receive(frames))
        self.assertEqual(len(got), 2)
        for a, b in zip(given, got):
            np.testing.assert_array_equal(a.trials, b.trials)
            self.check_equal(a.arrays, b.arrays)
        self.assertEqual(got[0].arrays.units, {"inputs": "1/s"})
        self.assertEqual(got[0].arrays.axes, {"inputs": ("trial", "bin", "channel")})
        got[0].arrays["inputs"][0] = 0  # a component may write to what it was given

    def test_set_round_trip(self):
        given = arrays()
        self.check_equal(given, _wire.receive_set(list(_wire.set_frames(given))))
        self.assertEqual(_wire.receive_set(_wire.set_frames({})), {})
        self.check_equal({"scalar": np.float64(3)}, _wire.receive_set(_wire.set_frames({"scalar": 3.0})))

    def test_damage_shows(self):
        def frames():
            return [m.tensor.Frame.FromString(f.SerializeToString()) for f in _wire.block_frames([ctdb.Block(np.arange(5), arrays())])]

        def change(f):
            data = bytearray(f[0].data)
            data[3] ^= 1
            f[0].data = bytes(data)

        def extra(f):
            f[0].header.shape[0] = 6

        cases = {
            "a bit": (change, ctdb.Damaged), "the end is missing": (lambda f: f.pop(), ctdb.Damaged), "a frame is missing": (lambda f: f.pop(4), ctdb.Error),
            "count": (lambda f: setattr(f[-1].end, "blocks", 7), ctdb.Damaged), "rows": (extra, ctdb.InvalidArgument),
            "type": (lambda f: setattr(f[0].header, "dtype", 9), ctdb.InvalidArgument), "negative": (lambda f: f[0].header.shape.__setitem__(1, -1), ctdb.InvalidArgument),
            "huge": (lambda f: f[0].header.shape.extend([1 << 40, 1 << 40]), ctdb.InvalidArgument),
            "chunk": (lambda f: setattr(f[0], "data", bytes(_wire.CHUNK + 1)), ctdb.InvalidArgument),
            "axes": (lambda f: f[0].header.axes.pop(), ctdb.InvalidArgument), "two starts": (lambda f: f.insert(1, f[0]), ctdb.InvalidArgument),
        }
        for name, (spoil, error) in cases.items():
            with self.subTest(name):
                f = frames()
                spoil(f)
                with self.assertRaises(error):
                    list(_wire.receive(f))

    def test_a_header_is_not_believed(self):
        start = m.tensor.Frame(start=m.tensor.BlockStart(arrays=1), header=m.tensor.Header(name="x", dtype=2, shape=[1 << 30]))
        a = _wire.Assembler()
        a.push(start)
        self.assertLessEqual(a._to.nbytes, 16 << 20)

    def test_tensors(self):
        for value in (np.arange(6, dtype=np.float32).reshape(2, 3), np.float64([[1.5]]), np.arange(3)):
            got = _wire.from_tensor(_wire.to_tensor("x", value))
            self.assertEqual(got.dtype, value.dtype)
            np.testing.assert_array_equal(got, value)
        message = _wire.to_tensor("x", np.arange(3))
        message.crc32c ^= 1
        with self.assertRaises(ctdb.Damaged):
            _wire.from_tensor(message)
        with self.assertRaises(ctdb.InvalidArgument):
            _wire.to_tensor("x", np.zeros(1 << 20))
        with self.assertRaises(ctdb.WrongShape):
            _wire.to_tensor("x", np.array(["a"]))
        for odd, want in ((np.arange(6).reshape(2, 3).T, np.int64), (np.float16([1]), np.float32), (np.bool_([True]), np.int64), (np.int32([1]), np.int64), (np.array(2), np.int64)):
            got = _wire.from_tensor(_wire.to_tensor("x", odd))
            self.assertEqual(got.dtype, want)
            np.testing.assert_array_equal(got, odd)

    def test_rows(self):
        a, b = np.zeros((100, 50_000), np.float32), np.zeros((100, 1))
        runs = list(_wire.by_rows([a, None, b]))
        self.assertEqual((runs[0][0], runs[-1][1], runs[-1][2]), (0, 100, False))
        for (_, to, more), (at, _, _) in zip(runs, runs[1:]):
            self.assertEqual(to, at)
            self.assertTrue(more)
        self.assertTrue(all((to - at) * (a[0].nbytes + 8) <= _wire.MESSAGE for at, to, _ in runs))
        self.assertEqual(list(_wire.by_rows([np.zeros((0, 3))])), [(0, 0, False)])
        with self.assertRaises(ctdb.WrongShape):
            list(_wire.by_rows([a, b[:3]]))
        rows = _wire.Rows(3)
        rows.add(np.zeros((2, 1)), "x")
        with self.assertRaises(ctdb.WrongShape):
            rows.add(np.zeros((2, 1)), "x")
        with self.assertRaises(ctdb.WrongShape):
            rows.take("x")


class Safetensors(unittest.TestCase):
    def test_round_trip(self):
        f = io.BytesIO()
        given = {"b.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.float64(2), "c": np.arange(3), "empty": np.empty((0, 2), np.float32)}
        safetensors.write(f, given, {"epoch": "3"})
        self.assertEqual(int.from_bytes(f.getvalue()[:8], "little") % 8, 0)
        f.seek(0)
        got, metadata = safetensors.read(f)
        self.assertEqual(metadata, {"epoch": "3"})
        self.assertEqual(set(got), set(given))
        for name, a in given.items():
            self.assertEqual(got[name].dtype, a.dtype)
            np.testing.assert_array_equal(got[name], a)

    def test_damage_shows(self):
        f = io.BytesIO()
        safetensors.write(f, {"a": np.arange(10)})
        raw = f.getvalue()
        for bad in (b"", raw[:5], raw[:20], raw[:-1], b"\xff" * 16, (2).to_bytes(8, "little") + b"[]", (2).to_bytes(8, "little") + b"{,"):
            with self.assertRaises(ctdb.Damaged):
                safetensors.read(io.BytesIO(bad))


if __name__ == "__main__":
    unittest.main()
