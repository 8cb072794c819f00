"""python -m benchmarks.path_to_gradient: how much of the package runs between `train.py` and the first gradient.

That is what someone reads who wants to know what the command does. Of another checkout, also of an older one:
python benchmarks/path_to_gradient.py CHECKOUT. The script itself needs the standard library only.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

PACKAGE = "xecgnet_jax"
#: Small data that every split can share out. The options are also those of older versions.
RUN = ("--simulate", "24", "--workers", "1", "--epochs", "1", "--batch-size", "4", "--no-progress")

#: Path of a module below the package → {"file_lines", "lines", "functions"}: the lines of its file, those inside
#: functions that ran, and the names of these functions without lambdas and comprehensions.
Counts = dict[str, dict[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["--run"]:  # the process that `count_path` starts
        run_until_gradient(Path(words[1]), Path(words[2]), words[3:])
        return 1  # there was no gradient
    parser = argparse.ArgumentParser(prog="python -m benchmarks.path_to_gradient", description=__doc__)
    here = Path(__file__).resolve().parents[1]
    parser.add_argument("checkout", nargs="?", type=Path, default=here, help="folder with train.py; default: this one")
    parser.add_argument("--preset", default="quick", help="what is trained; paper-crop is the authors' network")
    chosen = parser.parse_args(words)
    path = count_path(chosen.checkout, chosen.preset)
    for name, module in sorted(path.items(), key=lambda item: -item[1]["lines"]):
        print(f"{name:<32}{module['lines']:>5} of {module['file_lines']:>4} lines: {', '.join(module['functions'])}")
    print(
        f"\n{len(path)} modules of {sum(module['file_lines'] for module in path.values()):,} lines have functions that "
        f"ran: {sum(module['lines'] for module in path.values()):,} lines of "
        f"{sum(len(module['functions']) for module in path.values())} functions."
    )
    return 0


def count_path(checkout: Path, preset: str = "quick") -> Counts:
    """Returns what runs of a checkout's package, where the pack of the recordings is there already.

    Raises:
      RuntimeError: `train.py` came to no gradient; with what it said.
    """
    checkout = checkout.resolve()
    with tempfile.TemporaryDirectory(prefix="xecgnet-jax-path-") as folder:
        found = Path(folder) / "counts.json"
        for name in ("makes-the-pack", "counts"):
            # -P: the folder of this script stays off the path, where its neighbors would hide other modules.
            command = [sys.executable, "-P", str(Path(__file__).resolve()), "--run", str(checkout), str(found)]
            command += ["--preset", preset, *RUN]
            command += ["--cache", str(Path(folder) / "cache"), "--workdir", str(Path(folder) / name)]
            surroundings = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(checkout)}
            done = subprocess.run(command, cwd=checkout, env=surroundings, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"train.py of {checkout} came to no gradient:\n{done.stdout}{done.stderr}")
        counts: Counts = json.loads(found.read_text(encoding="utf-8"))
    return counts


def run_until_gradient(checkout: Path, into: Path, words: Sequence[str]) -> None:
    """Runs `train.py` with these words, and ends the process when the first gradient is made.

    Args:
      checkout: folder with `train.py`.
      into: file for what ran until then.
      words: arguments of `train.py`.
    """
    import jax

    below = f"{checkout / PACKAGE}{os.sep}"
    lines: defaultdict[str, set[int]] = defaultdict(set)
    functions: defaultdict[str, set[str]] = defaultdict(set)

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(below) or not is_in_function(code):
            return None
        if event == "line" and frame.f_lineno != code.co_firstlineno:
            lines[code.co_filename].add(frame.f_lineno)
        elif event == "call" and not code.co_name.startswith("<"):
            functions[code.co_filename].add(code.co_qualname)
        return trace

    value_and_grad: Any = jax.value_and_grad

    def watch(*arguments: Any, **settings: Any) -> Callable[..., Any]:
        def run(*inputs: Any, **rest: Any) -> Any:
            value_and_grad(*arguments, **settings)(*inputs, **rest)
            sys.settrace(None)
            counts = {
                file.removeprefix(below): {
                    "file_lines": len(Path(file).read_text(encoding="utf-8").splitlines()),
                    "lines": len(lines[file]),
                    "functions": sorted(functions[file]),
                }
                for file in sorted(lines)
            }
            into.write_text(json.dumps(counts), encoding="utf-8")
            sys.stdout.flush()
            os._exit(0)

        return run

    jax.value_and_grad = watch
    sys.argv[:] = ["train.py", *words]
    threading.settrace(trace)
    sys.settrace(trace)
    runpy.run_path(str(checkout / "train.py"), run_name="__main__")


def is_in_function(code: CodeType) -> bool:
    """Returns whether code is a function's or inside one: not a module's, a class's, or a comprehension's in those."""
    in_module = code.co_name.startswith("<") and code.co_name != "<lambda>" and "<locals>" not in code.co_qualname
    return bool(code.co_flags & inspect.CO_OPTIMIZED) and not in_module


if __name__ == "__main__":
    sys.exit(main())
