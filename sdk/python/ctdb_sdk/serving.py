"""A plugin's main: serve these components to the host that has started the process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from typing import Optional, Sequence, TextIO, Type

from . import _plugin
from ._guard import Guard
from .component import Component

COOKIE_KEY, COOKIE = "CTDB_PLUGIN", "computation-through-dynamics"
TOKEN_KEY, LIFELINE_KEY = "CTDB_PLUGIN_TOKEN", "CTDB_PLUGIN_LIFELINE"
_CLOSE_TIME = 5.0  # seconds that instances have to end in when the process is told to stop


def serve(name: str, version: str, doc: str, components: Sequence[Type[Component]]) -> None:
    """Serves the components until the host says that it is enough, and ends the process. name is the plugin's, of lower-case letters, digits and hyphens; doc one sentence.

    From here on what is printed goes to the log: standard output belongs to the protocol.
    """
    if os.environ.get(COOKIE_KEY) != COOKIE:
        sys.stderr.write(f"{name} is a plugin of ctdb-host and is not meant to be run by hand. Try: ctdb-host components --plugin-dir {os.path.dirname(os.path.abspath(sys.argv[0]))}\n")
        sys.exit(1)
    token = os.environ.pop(TOKEN_KEY, "")  # what the component starts need not know it
    if not token:
        sys.stderr.write(f"plugin {name}: the environment variable {TOKEN_KEY} is not set: a host sets it to the token that calls must carry\n")
        sys.exit(1)
    versions = os.environ.get("PLUGIN_PROTOCOL_VERSIONS", str(_plugin.PROTOCOL_MAJOR)).split(",")
    if str(_plugin.PROTOCOL_MAJOR) not in versions:
        sys.stderr.write(f"plugin {name}: the host speaks version {', '.join(versions)} of the protocol, this plugin version {_plugin.PROTOCOL_MAJOR}: install one of the same\n")
        sys.exit(1)
    output = _take_output()
    _hold_on()
    _name_process()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is the host's affair
    log = make_log(name)
    _run(_plugin.Plugin(name, version, doc, components), token, log, output)


def _run(plugin: _plugin.Plugin, token: str, log: logging.Logger, output: TextIO) -> None:
    stopped = threading.Event()
    guard = Guard(plugin.name, token, log)
    server = _plugin.make_server(plugin, guard, stopped.set)
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    folder = os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or tempfile.mkdtemp(prefix="ctdb-")
    path = os.path.join(folder, f"plugin{os.getpid()}.sock")
    server.add_insecure_port("unix:" + path)
    server.start()
    output.write(f"{_plugin.PROTOCOL_MAJOR}|{_plugin.PROTOCOL_MAJOR}|unix|{path}|grpc|\n")
    output.flush()
    stopped.wait()
    server.stop(0.2)
    end = threading.Thread(target=guard.close_all, daemon=True)
    end.start()
    end.join(_CLOSE_TIME)
    with contextlib.suppress(OSError):
        os.unlink(path)
    logging.shutdown()
    sys.stderr.flush()
    # Threads that do not end, and the exit handlers of libraries, do not hold up the host.
    os._exit(0)


def _take_output() -> TextIO:
    """Keeps standard output for the handshake, and has whatever else writes to it write to standard error, C libraries and child processes among them."""
    sys.stdout.flush()
    kept = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    return kept


def _hold_on() -> None:
    """Ends this process and its group at once when the host is gone, where the host has said that the end of standard input means that."""
    how = os.environ.pop(LIFELINE_KEY, "")
    if how != "stdin":
        return
    # What this process starts, and input(), have an empty standard input.
    lifeline = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            # The kernel kills without the help of a thread, all of which may wait for Python's lock: fcntl(2), O_ASYNC with F_SETSIG.
            flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
            owner = -os.getpid() if os.getpgrp() == os.getpid() else os.getpid()
            fcntl.fcntl(lifeline, fcntl.F_SETOWN, owner)
            fcntl.fcntl(lifeline, 10, int(signal.SIGKILL))  # F_SETSIG
            fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)

    def watch() -> None:
        # The host may have gone before that was set up. That it cannot be read any more means the same as its end.
        with contextlib.suppress(OSError):
            while os.read(lifeline, 4096):
                pass
        with contextlib.suppress(OSError):
            os.kill(-os.getpid() if os.getpgrp() == os.getpid() else os.getpid(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def _name_process() -> None:
    """The name that ps and top show, which else is the interpreter's."""
    with contextlib.suppress(OSError):
        with open("/proc/self/comm", "w") as f:
            f.write(os.path.basename(sys.argv[0]))


class LogFormatter(logging.Formatter):
    """One JSON object a line in go-plugin's (hclog's) form. Fields go into `extra={"fields": {...}}`."""

    _LEVELS = ((logging.ERROR, "error"), (logging.WARNING, "warn"), (logging.INFO, "info"), (logging.DEBUG, "debug"))

    def __init__(self, module: str) -> None:
        super().__init__()
        self._module = module

    def format(self, record: logging.LogRecord) -> str:
        line = {str(k): v if isinstance(v, (bool, int)) else str(v) for k, v in getattr(record, "fields", {}).items()}
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        level = next((name for least, name in self._LEVELS if record.levelno >= least), "trace")
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.created % 1 * 1e6):06d}Z"
        line.update({"@level": level, "@message": record.getMessage(), "@module": self._module, "@timestamp": at})
        return json.dumps(line, ensure_ascii=False)


def make_log(name: str, stream: Optional[TextIO] = None) -> logging.Logger:
    """The logger of a plugin. The root logger writes to the same place, so that other libraries' messages reach the run's log too."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LogFormatter(name))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    log = logging.getLogger("ctdb_sdk")
    log.setLevel(logging.DEBUG)
    return log
