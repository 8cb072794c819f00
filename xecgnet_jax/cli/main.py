"""The command `xecgnet`: the command line → a subcommand; a user's error is one line, and a pipe may end."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Union

import tyro

from xecgnet_jax import __version__
from xecgnet_jax.cli.compare import Compare
from xecgnet_jax.cli.corpus import DescribeCorpus, Simulate
from xecgnet_jax.cli.evaluate import Evaluate
from xecgnet_jax.cli.export import Export
from xecgnet_jax.cli.inspect import Inspect
from xecgnet_jax.cli.predict import Predict
from xecgnet_jax.cli.sweep import Sweep, sweep_defaults
from xecgnet_jax.cli.train import Train, train_defaults
from xecgnet_jax.errors import StoppedError, XECGNetError

#: Name of a subcommand → its arguments; its docstring is its help.
COMMANDS: dict[str, Any] = {
    "train": Train,
    "sweep": Sweep,
    "evaluate": Evaluate,
    "compare": Compare,
    "predict": Predict,
    "export": Export,
    "inspect": Inspect,
    "corpus": DescribeCorpus,
    "simulate": Simulate,
}
#: Subcommands whose defaults depend on what is asked for: a preset, a file of settings, a run to go on with.
DEFAULTS = {"train": train_defaults, "sweep": sweep_defaults}

DESCRIPTION = """xECGNet: finds several arrhythmias in one 12-lead ECG, with attention maps.

'xecgnet COMMAND --help' explains a command, 'xecgnet --version' says which."""
#: Exit status of a command that was asked to stop, by Ctrl-C or SIGTERM, and of one whose reader closed the pipe.
STOPPED, UNREAD = 130, 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line, by default this process's; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may lack Greek letters and arrows
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if words == ["--version"]:
            print(f"xecgnet-jax {__version__}")
        else:
            parse(words).run()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left unwritten goes nowhere
        return UNREAD
    except XECGNetError as error:
        print(f"{'' if isinstance(error, StoppedError) else 'error: '}{error}", file=sys.stderr)
        return STOPPED if isinstance(error, StoppedError) else 2
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print(f"error: {where}{error.strerror or error}; check the path, its permissions and the disk", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return STOPPED
    return 0


def parse(words: list[str]) -> Any:
    """Returns the subcommand that the words name, with its arguments."""
    kinds = []
    for name, kind in COMMANDS.items():
        settings: dict[str, Any] = {}
        if words[:1] == [name] and name in DEFAULTS:
            settings["default"] = DEFAULTS[name](words[1:])
        kinds.append(Annotated[kind, tyro.conf.subcommand(name, **settings)])
    command: Any = Union[tuple(kinds)]  # noqa: UP007
    return tyro.cli(
        command,
        prog="xecgnet",
        description=DESCRIPTION,
        args=words,
        config=(tyro.conf.OmitArgPrefixes,),
    )
