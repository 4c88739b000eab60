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
from typing import Dict, Iterator, List, Set

_LIBRARIES = ("numpy", "jax", "jaxlib", "torch", "scipy", "tensorflow")
_SETTINGS = re.compile(r"(XLA_|JAX_|OPENBLAS_|MKL_|TORCH_|CUDA_VISIBLE_DEVICES|NVIDIA_TF32)")
_THREADS = re.compile(r"_NUM_THREADS\Z")
_MAX_FILES = 20_000


def numerics() -> Dict[str, str]:
    """Versions of the numeric libraries that are loaded, and the two checksums."""
    out = {"python": platform.python_version()}
    for name in _LIBRARIES:
        version = getattr(sys.modules.get(name), "__version__", None)
        if version:
            out[name] = str(version)
    out["source"], out["environment"] = source(), environment()
    return out


def environment() -> str:
    """Stands for all installed packages to the last file, the interpreter, the processor, and the settings that numeric libraries read."""
    lines = [sys.version, platform.machine(), _processor()]
    for d in importlib.metadata.distributions():
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
    files: Set[str] = {script} if os.path.isfile(script) else set()
    folder = os.path.dirname(script)
    if files and not os.path.exists(os.path.join(os.path.dirname(folder), "pyvenv.cfg")):
        files.update(e.path for e in os.scandir(folder) if e.name.endswith(".py") and e.is_file())
    packages: Set[str] = set()
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if not isinstance(path, str) or not os.path.isfile(path):
            continue
        path = os.path.realpath(path)
        if any(path.startswith(p) for p in installed):
            continue
        top = sys.modules.get(name.split(".")[0])
        where = getattr(top, "__path__", None)
        if where is None:
            files.add(path)
        else:
            packages.update(os.path.realpath(p) for p in where)
    for package in packages:
        files.update(_tree(package))
    digest = hashlib.sha256()
    # Not the paths: the same code elsewhere is the same.
    for line in sorted(f"{os.path.basename(path)} {_checksum(path)}" for path in files):
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
