"""The protocol's messages, made when they are first needed of the descriptors in _protocol.binpb.

`make proto` writes that file beside the Go code, with the same pinned tool. So no code is generated that ties a plugin to one version of protobuf's runtime, and generating
it takes no Python.
"""

from __future__ import annotations

import os
from typing import Any, Dict, Iterator, List, Tuple, Type

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message


def _pool() -> Tuple[descriptor_pool.DescriptorPool, List[str]]:
    # A pool of its own: a plugin may bring messages of the same names that it was generated for itself.
    pool = descriptor_pool.DescriptorPool()
    with open(os.path.join(os.path.dirname(__file__), "_protocol.binpb"), "rb") as f:
        files = descriptor_pb2.FileDescriptorSet.FromString(f.read())
    for file in files.file:
        pool.AddSerializedFile(file.SerializeToString())
    # What gRPC carries the details of a failure in: google.rpc.Status, with google.protobuf.Any of the same form.
    status = descriptor_pb2.FileDescriptorProto(name="ctdb_sdk/status.proto", package="ctdb_sdk", syntax="proto3")
    Field = descriptor_pb2.FieldDescriptorProto
    one, many = Field.LABEL_OPTIONAL, Field.LABEL_REPEATED
    boxed = status.message_type.add(name="Any")
    boxed.field.add(name="type_url", number=1, type=Field.TYPE_STRING, label=one)
    boxed.field.add(name="value", number=2, type=Field.TYPE_BYTES, label=one)
    whole = status.message_type.add(name="Status")
    whole.field.add(name="code", number=1, type=Field.TYPE_INT32, label=one)
    whole.field.add(name="message", number=2, type=Field.TYPE_STRING, label=one)
    whole.field.add(name="details", number=3, type=Field.TYPE_MESSAGE, type_name=".ctdb_sdk.Any", label=many)
    pool.AddSerializedFile(status.SerializeToString())
    return pool, [file.name for file in files.file]


_POOL, _FILES = _pool()


class Package:
    """The messages and enumerations of a package, as attributes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._made: Dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        made = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{self._name}.{name}"))
        setattr(self, name, made)
        return made

    def number(self, enumeration: str, value: str) -> int:
        """The number of an enumeration's value."""
        return int(_POOL.FindEnumTypeByName(f"{self._name}.{enumeration}").values_by_name[value].number)


plugin = Package("ctdb.plugin.v1")
task = Package("ctdb.task.v1")
model = Package("ctdb.model.v1")
simulator = Package("ctdb.simulator.v1")
comparator = Package("ctdb.comparator.v1")
tensor = Package("ctdb.tensor.v1")
status = Package("ctdb_sdk")


class Method:
    """One method of a service."""

    def __init__(self, descriptor: Any, path: str) -> None:
        self.path = path
        self.request: Type[Message] = message_factory.GetMessageClass(descriptor.input_type)
        self.response: Type[Message] = message_factory.GetMessageClass(descriptor.output_type)
        proto = descriptor_pb2.MethodDescriptorProto()
        descriptor.CopyToProto(proto)
        self.takes_stream, self.gives_stream = proto.client_streaming, proto.server_streaming


def methods() -> Iterator[Method]:
    """Every method of the protocol's services."""
    for name in _FILES:
        for service in _POOL.FindFileByName(name).services_by_name.values():
            for method in service.methods:
                yield Method(method, f"/{service.full_name}/{method.name}")


METHODS = {m.path: m for m in methods()}
