"""The subcommands of `xecgnet` as functions: words → exit status."""

from collections.abc import Callable, Sequence

from xecgnet_jax.cli.main import main


def command(name: str) -> Callable[[Sequence[str]], int]:
    return lambda words: main([name, *words])


train, sweep, evaluate, compare, predict, export, inspect, corpus, simulate = map(
    command, ("train", "sweep", "evaluate", "compare", "predict", "export", "inspect", "corpus", "simulate")
)
