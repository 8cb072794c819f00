"""The command `xecgnet`: the command line → a subcommand; a user's error is one line, and a pipe may end."""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any, Union

import tyro

from xecgnet_jax import __version__
from xecgnet_jax.cli.common import refuse_addresses
from xecgnet_jax.cli.compare import Compare
from xecgnet_jax.cli.corpus import DescribeCorpus, Simulate
from xecgnet_jax.cli.evaluate import Evaluate
from xecgnet_jax.cli.export import Export
from xecgnet_jax.cli.guard import leave_at_once, quiet_libraries, report
from xecgnet_jax.cli.inspect import Inspect
from xecgnet_jax.cli.predict import Predict
from xecgnet_jax.cli.sweep import Sweep, sweep_defaults
from xecgnet_jax.cli.train import Train, train_defaults
from xecgnet_jax.terminal import say

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

'xecgnet COMMAND --help' explains a command, 'xecgnet --version' says which.

With --traceback an error shows where it comes from."""
#: Any command takes it, and shows where an error comes from.
TRACEBACK = "--traceback"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line, by default this process's; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may lack Greek letters and arrows
    words = list(sys.argv[1:] if arguments is None else arguments)
    shows_traceback = TRACEBACK in words
    command: Any = None
    if not shows_traceback:
        quiet_libraries()
    try:
        if words == ["--version"]:
            say(f"xecgnet-jax {__version__}")
        else:
            command = parse([word for word in words if word != TRACEBACK])
            refuse_addresses(command)
            command.run()
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        if shows_traceback:
            traceback.print_exception(error)
        status = report(error, command)
        leave_at_once(error, status)
        return status
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
