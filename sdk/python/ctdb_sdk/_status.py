"""Between exceptions and gRPC's statuses, which carry a Failure as their detail."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

import grpc

from . import _messages as m
from . import errors

# A status travels in an HTTP/2 header, which peers limit to 8 KiB in all, base64 included.
_MESSAGE, _PROBLEMS = 1024, 3072
_DETAILS = "grpc-status-details-bin"

_KINDS = (
    (errors.InvalidArgument, "INVALID_ARGUMENT", grpc.StatusCode.INVALID_ARGUMENT),
    (errors.Diverged, "DIVERGED", grpc.StatusCode.ABORTED),
    (errors.NotFound, "NOT_FOUND", grpc.StatusCode.NOT_FOUND),
    (errors.Unavailable, "UNAVAILABLE", grpc.StatusCode.UNAVAILABLE),
    (errors.Unsupported, "UNSUPPORTED", grpc.StatusCode.UNIMPLEMENTED),
    (errors.Damaged, "CHECKSUM", grpc.StatusCode.DATA_LOSS),
    (errors.WrongShape, "SHAPE", grpc.StatusCode.FAILED_PRECONDITION),
)
# Those that have nothing but a message.
_PLAIN: Dict[Any, Callable[[str], errors.Error]] = {c: c for c in (errors.NotFound, errors.Unavailable, errors.Unsupported, errors.Damaged, errors.WrongShape)}


class Status(NamedTuple):
    """What gRPC's abort_with_status takes."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: Any


def cut(text: str, n: int) -> str:
    """The text in n bytes of UTF-8 at most."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= n:
        return raw.decode()
    return raw[: n - 3].decode("utf-8", "ignore") + "..."


def _problems(problems: Sequence[errors.Problem]) -> List[Any]:
    out: List[Any] = []
    size = 0
    for i, p in enumerate(problems):
        q = m.plugin.Problem(path=cut(p.path, 256), message=cut(p.message, 512), hint=cut(p.hint, 256))
        size += q.ByteSize() + 6
        if size > _PROBLEMS:
            return out + [m.plugin.Problem(message=f"and {len(problems) - i} more")]
        out.append(q)
    return out


def to_status(error: BaseException, name: str) -> Status:
    """The status of a call on the component of that name that has raised."""
    text = cut(str(error) or type(error).__name__, _MESSAGE)
    if isinstance(error, errors.Cancelled):
        return Status(grpc.StatusCode.CANCELLED, text, ())
    kind, code = "INTERNAL", grpc.StatusCode.INTERNAL
    for cls, k, c in _KINDS:
        if isinstance(error, cls):
            kind, code = k, c
            break
    else:
        if not isinstance(error, errors.Error):
            text = cut(f"{type(error).__name__}: {error}", _MESSAGE)
    failure = m.plugin.Failure(kind=m.plugin.number("FailureKind", "FAILURE_KIND_" + kind), component=name, message=text)
    if isinstance(error, errors.InvalidArgument):
        failure.problems.extend(_problems(error.problems))
    elif isinstance(error, errors.Diverged):
        failure.diverged.CopyFrom(m.plugin.Diverged(step=error.step, quantity=cut(error.quantity, 256), value=error.value, hint=cut(error.hint, 256)))
    short = cut(text, 256)
    whole = m.status.Status(code=code.value[0], message=short)
    whole.details.add(type_url="type.googleapis.com/ctdb.plugin.v1.Failure", value=failure.SerializeToString())
    return Status(code, short, ((_DETAILS, whole.SerializeToString()),))


def from_status(error: grpc.RpcError, gone: str = "") -> errors.Error:
    """The exception that a failed call's status carries. `gone` names what is at the other end."""
    code: grpc.StatusCode = error.code()
    text: str = error.details() or code.name
    failure = _failure(error)
    if failure is not None:
        kind = m.plugin.Failure.DESCRIPTOR.fields_by_name["kind"].enum_type.values_by_number.get(failure.kind)
        name = kind.name if kind is not None else ""
        if name.endswith("_INVALID_ARGUMENT") and failure.problems:
            return errors.InvalidArgument([errors.Problem(p.path, p.message, p.hint) for p in failure.problems])
        if name.endswith("_DIVERGED"):
            d = failure.diverged
            return errors.Diverged(d.step, d.quantity, d.value, d.hint)
        if name.endswith("_INTERNAL"):
            return errors.Internal(f"{failure.component}: {failure.message}")
        for cls, k, _ in _KINDS:
            if name == "FAILURE_KIND_" + k and cls in _PLAIN:
                return _PLAIN[cls](failure.message)
    if code in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE):
        # A call that was not cancelled here has lost its other end; a token that is not known is that of a lease that has ended.
        return errors.Unavailable(f"{gone}: {text}" if gone else text)
    if code == grpc.StatusCode.INVALID_ARGUMENT:
        return errors.invalid("", text)
    for cls, _, c in _KINDS:
        if c == code and cls in _PLAIN and cls is not errors.WrongShape:  # FAILED_PRECONDITION alone does not say that it is about a shape
            return _PLAIN[cls](text)
    return errors.Internal(f"{gone}: {code.name}: {text}" if gone else f"{code.name}: {text}")


def _failure(error: Any) -> Optional[Any]:
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS:
            try:
                for detail in m.status.Status.FromString(value).details:
                    if detail.type_url.endswith("/ctdb.plugin.v1.Failure"):
                        return m.plugin.Failure.FromString(detail.value)
            except Exception:  # what a peer sent is no such thing: the code counts
                return None
    return None
