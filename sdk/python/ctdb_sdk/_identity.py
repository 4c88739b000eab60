"""What results may depend on besides an executable's checksum: the plugin's own source and the environment that it runs in. Both go into the manifest, and with it into the key of
every result, so that a result is computed anew where either has changed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import site
import sys
import sysconfig
from typing import Dict, Iterable, Iterator, List, Set, Tuple

# What carries messages and installs packages, and computes nothing.
_PLUMBING = {"ctdb-sdk", "grpcio", "protobuf", "typing-extensions", "pip", "setuptools", "wheel", "distribute", "six"}
_SETTINGS = re.compile(r"(XLA_|JAX_|OPENBLAS_|MKL_|TORCH_|CUDA_VISIBLE_DEVICES|NVIDIA_TF32)")
_THREADS = re.compile(r"_NUM_THREADS\Z")
_MAX_FILES = 20_000
# The beginning of a line of RECORD that is of a module, or of a file in a package, with what stands below it.
_MODULE = re.compile(r"^([^\W\d]\w*)(?:/(\w+)|\.(?:py|so|pyd|abi3|cpython)\b)", re.MULTILINE)


def numerics() -> Dict[str, str]:
    """Versions of Python and of the packages that are loaded, by which a lock pins what the plugin runs on, and the two checksums."""
    found = list(importlib.metadata.distributions())
    return {**loaded(found), "python": platform.python_version(), "source": source(), "environment": environment(found)}


def loaded(found: Iterable[importlib.metadata.Distribution]) -> Dict[str, str]:
    """The versions of those installed packages of which a module is loaded."""
    modules = set()
    for name in list(sys.modules):
        first, _, rest = name.partition(".")
        if getattr(sys.modules.get(first), "__file__", None) is not None:
            modules.add(first)
        elif rest:
            # What is loaded of a namespace, e.g. of google, says nothing of its other packages.
            modules.add(f"{first}.{rest.split('.')[0]}")
    out: Dict[str, str] = {}
    for d in found:
        name = re.sub(r"[-_.]+", "-", str(d.metadata["Name"])).lower()
        # The first of a name on the path is the one that is imported.
        if name not in _PLUMBING and name not in out and d.version and not modules.isdisjoint(_provides(d)):
            out[name] = str(d.version)
    return out


def _provides(d: importlib.metadata.Distribution) -> Set[str]:
    """The modules and packages of a distribution, and those one level below."""
    out = set((d.read_text("top_level.txt") or "").split())
    for first, second in _MODULE.findall(d.read_text("RECORD") or ""):
        out.update((first, f"{first}.{second}"))
    return out


def environment(found: Iterable[importlib.metadata.Distribution]) -> str:
    """Stands for all installed packages to the last file, the interpreter, the processor, and the settings that numeric libraries read."""
    lines = [sys.version, platform.machine(), _processor()]
    for d in found:
        # RECORD has the checksum of each file.
        record = d.read_text("RECORD") or d.read_text("installed-files.txt") or ""
        lines.append(f"{d.metadata['Name']} {d.version} {hashlib.sha256(record.encode()).hexdigest()}")
    lines += [f"{k}={v}" for k, v in os.environ.items() if _SETTINGS.match(k) and not _THREADS.search(k)]
    return _short("\n".join(sorted(lines)).encode())


def _processor() -> str:
    keys = {"vendor_id", "cpu family", "model", "flags", "Features", "CPU implementer", "CPU part"}
    try:
        with open("/proc/cpuinfo") as f:
            first = f.read(1 << 16).split("\n\n")[0]
    except OSError:
        return platform.processor()
    return "\n".join(line for line in first.splitlines() if line.split(":")[0].strip() in keys)


def _installed() -> List[str]:
    """Folders whose packages environment() stands for."""
    paths = sysconfig.get_paths()
    out = [paths[k] for k in ("stdlib", "platstdlib", "purelib", "platlib")]
    out += site.getsitepackages() if hasattr(site, "getsitepackages") else []
    user = site.getusersitepackages() if hasattr(site, "getusersitepackages") else ""
    return [os.path.join(os.path.realpath(p), "") for p in out + [user] if p]


def source() -> str:
    """Stands for the plugin's own code: the script and the modules beside it, and every module that is loaded and not installed, of a package all files."""
    installed = _installed()
    script = os.path.realpath(sys.argv[0]) if sys.argv and sys.argv[0] else ""
    # Each file with its name within the folder or the package that it is of.
    files: Set[Tuple[str, str]] = {(os.path.basename(script), script)} if os.path.isfile(script) else set()
    folder = os.path.dirname(script)
    if files and not os.path.exists(os.path.join(os.path.dirname(folder), "pyvenv.cfg")):
        files.update((e.name, e.path) for e in os.scandir(folder) if e.name.endswith(".py") and e.is_file())
    packages: Set[Tuple[str, str]] = set()
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if not isinstance(path, str) or not os.path.isfile(path):
            continue
        path = os.path.realpath(path)
        if any(path.startswith(p) for p in installed):
            continue
        first = name.split(".")[0]
        where = getattr(sys.modules.get(first), "__path__", None)
        if where is None:
            files.add((os.path.basename(path), path))
        else:
            packages.update((first, os.path.realpath(p)) for p in where)
    for name, package in packages:
        files.update((f"{name}/{os.path.relpath(path, package)}", path) for path in _tree(package))
    digest = hashlib.sha256()
    # Not where they are: the same code elsewhere is the same.
    for line in sorted(f"{name} {_checksum(path)}\n" for name, path in files):
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _tree(folder: str) -> Iterator[str]:
    count = 0
    for at, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if f != "__pycache__" and not f.startswith(".")]
        for name in names:
            path = os.path.join(at, name)
            if os.path.isfile(path):
                count += 1
                if count > _MAX_FILES:
                    raise RuntimeError(f"{folder}: more than {_MAX_FILES} files in a package: keep data elsewhere, or install the package")
                yield path


def _checksum(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for piece in iter(lambda: f.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()


def _short(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
