import unittest
from dataclasses import dataclass
from typing import List

import grpc

import ctdb_sdk as ctdb
from ctdb_sdk import _messages as m
from ctdb_sdk import _status, params
from ctdb_sdk.params import param


@dataclass
class Sample:
    must: str = param(doc="has no default")
    n_bits: int = param(3, min=1, max=16, unit="bit", doc="number of bits")
    noise: float = param(0.15, min=0, doc="input noise")
    lr: float = param(1e-3, above=0, doc="learning rate")
    link: str = param("exp", choices=["exp", "softplus"], doc="link")
    on: bool = param(False, doc="a switch")
    sizes: List[int] = param([1, 2], min=1, doc="sizes")


@dataclass
class Chosen:
    tasks: List[str] = param(["DelayPro"], choices=["DelayPro", "DelayAnti", "MemoryPro"], doc="tasks")


class Params(unittest.TestCase):
    def test_resolve(self):
        values, problems = params.resolve(params.schema(Sample), {"must": "x", "n_bits": 4.0, "noise": 1, "sizes": [3, 4.0]})
        self.assertEqual(problems, [])
        self.assertEqual(Sample(**values), Sample("x", 4, 1.0, 1e-3, "exp", False, [3, 4]))
        self.assertIsInstance(values["noise"], float)

    def test_everything_is_reported(self):
        # The words are those of the Go SDK.
        _, problems = params.resolve(params.schema(Sample), {"n_bits": 0, "noise": float("nan"), "lr": 0, "link": "softpuls", "on": "yes", "sizes": [0], "n_bit": 1, "zzzzzzzz": 1})
        self.assertEqual([str(p) for p in problems], [
            "params.must: is required: a string (has no default)", "params.n_bits: 0 is not allowed: 1..16", "params.noise: nan is not allowed: >= 0",
            "params.lr: 0.0 is not allowed: > 0", 'params.link: "softpuls" is not allowed: one of exp, softplus (did you mean "softplus"?)',
            'params.on: "yes": a bool is needed', "params.sizes: [0] is not allowed: >= 1", 'params.n_bit: no such parameter (did you mean "n_bits"?)',
            "params.zzzzzzzz: no such parameter (parameters are must, n_bits, noise, lr, link, on, sizes)",
        ])

    def test_choices_of_a_list(self):
        _, problems = params.resolve(params.schema(Chosen), {"tasks": ["MemoryPro", "DelyAnti", "Delay"]})
        self.assertEqual([str(p) for p in problems], ['params.tasks: "DelyAnti" is not allowed: one of DelayPro, DelayAnti, MemoryPro (did you mean "DelayAnti"?)'])

    def test_hints(self):
        names = ["hidden", "learning_rate", "weight_decay", "weight_sd"]
        for given, near in (("HIDDEN", "hidden"), ("Hiden", "hidden"), ("learn", "learning_rate"), ("weight", "weight_sd"), ("we", None), ("xyz", None)):
            self.assertEqual(params.did_you_mean(given, names), f'did you mean "{near}"?' if near else "", given)

    def test_messages(self):
        for f, message in zip(params.schema(Sample), params.to_fields(params.schema(Sample))):
            message = m.plugin.Field.FromString(message.SerializeToString())
            self.assertEqual(message.name, f.name)
            self.assertEqual(params.from_value(message.default) if message.HasField("default") else None, f.default)
            self.assertEqual(message.min if message.HasField("min") else None, f.min)

    def test_mistakes_of_authors(self):
        @dataclass
        class NoDoc:
            a: int = param(1, doc="")

        @dataclass
        class Plain:
            a: int = 1

        @dataclass
        class Outside:
            a: int = param(0, min=1, doc="x")

        @dataclass
        class Kind:
            a: complex = param(1j, doc="x")

        class NoDataclass:
            pass

        for wrong, word in ((NoDoc, "doc"), (Plain, "param("), (Outside, "not allowed"), (Kind, "complex"), (NoDataclass, "dataclass")):
            with self.assertRaisesRegex(TypeError, word.replace("(", r"\(")):
                params.schema(wrong)


class Fake(grpc.RpcError):
    def __init__(self, status):
        self.status = status

    def code(self):
        return self.status.code

    def details(self):
        return self.status.details

    def trailing_metadata(self):
        return self.status.trailing_metadata


class Statuses(unittest.TestCase):
    def test_round_trip(self):
        for error in (
            ctdb.invalid("params.x", "3 is too large", "try 2"), ctdb.NotFound("a"), ctdb.Unavailable("b"), ctdb.Unsupported("c"), ctdb.Damaged("d"), ctdb.WrongShape("e"),
            ctdb.Diverged(7, "loss", float("inf"), "a lower rate"),
        ):
            got = _status.from_status(Fake(_status.to_status(error, "task/x")))
            self.assertIs(type(got), type(error))
            self.assertEqual(str(got), str(error))
        self.assertEqual(_status.from_status(Fake(_status.to_status(ctdb.invalid("params.x", "3"), "t"))).problems, [ctdb.Problem("params.x", "3")])
        internal = _status.from_status(Fake(_status.to_status(ZeroDivisionError("division by zero"), "task/x")))
        self.assertEqual(str(internal), "task/x: ZeroDivisionError: division by zero")
        self.assertIs(_status.to_status(ctdb.Cancelled("x"), "t").code, grpc.StatusCode.CANCELLED)

    def test_many_problems_fit_a_header(self):
        status = _status.to_status(ctdb.InvalidArgument([ctdb.Problem(f"params.{i}", "é" * 400, "h" * 300) for i in range(100)]), "task/x")
        self.assertLess(sum(len(v) for _, v in status.trailing_metadata), 4096)
        self.assertRegex(_status.from_status(Fake(status)).problems[-1].message, r"and \d+ more")


if __name__ == "__main__":
    unittest.main()
