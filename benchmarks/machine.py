"""What the benchmarks were measured on."""

from __future__ import annotations

import platform
import re
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from xecgnet_jax.data.parallel import available_cpus

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def description() -> dict[str, str]:
    """Returns machine, cores, memory and versions, by name."""
    packages = ("jax", "jaxlib", "torch")
    return {
        "processor": _processor(),
        "threads": str(available_cpus()),
        "memory": _memory(),
        "huge pages": _huge_pages(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: found for name in packages if (found := _version(name))},
    }


def torch_missing() -> str | None:
    """Returns why there is nothing of PyTorch in a table, or None where it is installed."""
    if find_spec("torch") is None:
        return "PyTorch is not installed (pip install -e '.[bench]'), so its rows are missing."
    return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    lines = _lines(Path("/proc/cpuinfo"))
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    extras = next((line for line in lines if line.startswith("flags")), "")
    return (name or platform.processor() or platform.machine()) + (" with AVX-512" if "avx512f" in extras else "")


def _memory() -> str:
    total = next((line for line in _lines(Path("/proc/meminfo")) if line.startswith("MemTotal")), "")
    return f"{int(total.split()[1]) / 2**20:.0f} GiB" if total else "unknown"


def _huge_pages() -> str:
    """Returns whether the system gives them always, to those that ask (madvise), or never."""
    found = re.search(r"\[(\w+)\]", " ".join(_lines(HUGE_PAGES)))
    return found[1] if found else "unknown"


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []
