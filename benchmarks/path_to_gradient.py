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
from typing import Any, NamedTuple

PACKAGE = "xecgnet_jax"
#: Small data that every split can share out. The options are also those of older versions.
RUN = ("--simulate", "24", "--workers", "1", "--epochs", "1", "--batch-size", "4", "--no-progress")


class Module(NamedTuple):
    """What ran of a module.

    Attributes:
      file_lines: lines of its file.
      function_lines: lines inside functions that ran.
      lines: lines that ran, with those that ran when the module was imported.
      functions: names of the functions that were called, without lambdas and comprehensions.
    """

    file_lines: int
    function_lines: int
    lines: int
    functions: list[str]


class Counts(NamedTuple):
    """What ran between `train.py` and the first gradient.

    Attributes:
      modules: path below the package → what ran of it; all modules that were imported.
      threads: names of helper threads in which lines of the package ran.
    """

    modules: dict[str, Module]
    threads: list[str]

    @property
    def path(self) -> dict[str, Module]:
        """The modules of which a function ran: those that a reader opens."""
        return {name: module for name, module in self.modules.items() if module.function_lines}

    def totals(self) -> dict[str, int]:
        """Returns the sums that are worth following from version to version."""
        path, everything = self.path.values(), self.modules.values()
        return {
            "modules": len(path),
            "function_lines": sum(module.function_lines for module in path),
            "functions": sum(len(module.functions) for module in path),
            "file_lines": sum(module.file_lines for module in path),
            "imported_modules": len(everything),
            "imported_lines": sum(module.lines for module in everything),
            "imported_file_lines": sum(module.file_lines for module in everything),
        }

    def text(self) -> str:
        """Returns a table of the modules, those with most lines first, and the totals."""
        order = sorted(self.modules.items(), key=lambda item: (-item[1].function_lines, -item[1].lines, item[0]))
        heads = ("in functions", "with imports", "of the file", "functions")
        rows = [
            f"{path:<36}{one.function_lines:>14}{one.lines:>14}{one.file_lines:>14}{len(one.functions):>11}"
            for path, one in order
        ]
        totals = self.totals()
        return "\n".join(
            [
                f"{'lines':<36}{heads[0]:>14}{heads[1]:>14}{heads[2]:>14}{heads[3]:>11}",
                *rows,
                "",
                f"{totals['modules']} modules of {totals['file_lines']:,} lines have functions that ran: "
                f"{totals['function_lines']:,} lines of {totals['functions']} functions.",
                f"{totals['imported_modules']} modules of {totals['imported_file_lines']:,} lines were imported: "
                f"{totals['imported_lines']:,} lines ran, with those of importing.",
                f"Helper threads that ran lines of the package: {', '.join(self.threads) or 'none'}.",
            ]
        )


def main(arguments: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["--run"]:  # the process that `count_path` starts
        run_until_gradient(Path(words[1]), Path(words[2]), words[3] == "counts", words[4:])
        return 1  # there was no gradient
    parser = argparse.ArgumentParser(prog="python -m benchmarks.path_to_gradient", description=__doc__)
    here = Path(__file__).resolve().parents[1]
    parser.add_argument("checkout", nargs="?", type=Path, default=here, help="folder with train.py; default: this one")
    parser.add_argument("--preset", default="quick", help="what is trained; paper-crop is the authors' network")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the counts to this file, too")
    chosen = parser.parse_args(words)
    counts = count_path(chosen.checkout, chosen.preset)
    print(counts.text())
    if chosen.json:
        values = {"totals": counts.totals(), "modules": {path: one._asdict() for path, one in counts.modules.items()}}
        chosen.json.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
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
            command = [sys.executable, "-P", str(Path(__file__).resolve()), "--run", str(checkout), str(found), name]
            command += ["--preset", preset, *RUN]
            command += ["--cache", str(Path(folder) / "cache"), "--workdir", str(Path(folder) / name)]
            surroundings = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(checkout)}
            done = subprocess.run(command, cwd=checkout, env=surroundings, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"train.py of {checkout} came to no gradient:\n{done.stdout}{done.stderr}")
        values = json.loads(found.read_text(encoding="utf-8"))
    return Counts({path: Module(**module) for path, module in values["modules"].items()}, values["threads"])


class Tracer:
    """Remembers the lines and functions that run, of files below a folder."""

    def __init__(self, folder: Path) -> None:
        self._below = f"{folder}{os.sep}"
        self.lines: defaultdict[str, set[int]] = defaultdict(set)
        self.function_lines: defaultdict[str, set[int]] = defaultdict(set)
        self.functions: defaultdict[str, set[str]] = defaultdict(set)
        self.threads: set[str] = set()

    def start(self) -> None:
        """Begins in all threads: by the monitoring that Python has from 3.12 on, else by a trace function."""
        monitoring: Any = getattr(sys, "monitoring", None)
        if monitoring is None:
            threading.settrace(self._trace)
            sys.settrace(self._trace)
            return
        monitoring.use_tool_id(monitoring.COVERAGE_ID, PACKAGE)
        remember = {monitoring.events.PY_START: lambda code, _: self._call(code), monitoring.events.LINE: self._line}
        for event, do in remember.items():

            def once(code: CodeType, at: int, do: Callable[[CodeType, int], None] = do) -> Any:
                if code.co_filename.startswith(self._below):
                    do(code, at)
                return monitoring.DISABLE

            monitoring.register_callback(monitoring.COVERAGE_ID, event, once)
        monitoring.set_events(monitoring.COVERAGE_ID, monitoring.events.PY_START | monitoring.events.LINE)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(self._below):
            return None
        if event == "call":
            self._call(code)
        elif event == "line":
            self._line(code, frame.f_lineno)
        return self._trace

    def _call(self, code: CodeType) -> None:
        if is_in_function(code) and not code.co_name.startswith("<"):
            self.functions[code.co_filename].add(code.co_qualname)

    def _line(self, code: CodeType, line: int) -> None:
        if line == code.co_firstlineno and not code.co_name.startswith("<"):
            return  # of the `def`, where a generator begins
        self.lines[code.co_filename].add(line)
        if is_in_function(code):
            self.function_lines[code.co_filename].add(line)
        if threading.current_thread() is not threading.main_thread():
            self.threads.add(threading.current_thread().name)


def is_in_function(code: CodeType) -> bool:
    """Returns whether code is a function's or inside one: not a module's, a class's, or a comprehension's in those."""
    in_module = code.co_name.startswith("<") and code.co_name != "<lambda>" and "<locals>" not in code.co_qualname
    return bool(code.co_flags & inspect.CO_OPTIMIZED) and not in_module


def run_until_gradient(checkout: Path, into: Path, counted: bool, words: Sequence[str]) -> None:
    """Runs `train.py`, and ends the process when the first gradient is made.

    Args:
      checkout: folder with `train.py`.
      into: file for what ran until then.
      counted: write it.
      words: arguments of `train.py`.
    """
    import jax

    package = checkout / PACKAGE
    tracer = Tracer(package)
    value_and_grad: Any = jax.value_and_grad

    def watch(*arguments: Any, **settings: Any) -> Callable[..., Any]:
        differentiate = value_and_grad(*arguments, **settings)

        def run(*inputs: Any, **rest: Any) -> Any:
            differentiate(*inputs, **rest)
            if counted:
                write(tracer, package, into)
            sys.stdout.flush()
            os._exit(0)

        return run

    jax.value_and_grad = watch
    sys.argv[:] = ["train.py", *words]
    if counted:
        tracer.start()
    runpy.run_path(str(checkout / "train.py"), run_name="__main__")


def write(tracer: Tracer, package: Path, into: Path) -> None:
    """Writes `Counts` as JSON."""
    files = {str(module.__file__) for name, module in list(sys.modules.items()) if name.partition(".")[0] == PACKAGE}
    modules = {}
    for file in sorted(files):
        modules[Path(file).relative_to(package).as_posix()] = Module(
            len(Path(file).read_text(encoding="utf-8").splitlines()),
            len(tracer.function_lines[file]),
            len(tracer.lines[file]),
            sorted(tracer.functions[file]),
        )._asdict()
    into.write_text(json.dumps({"modules": modules, "threads": sorted(tracer.threads)}), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
