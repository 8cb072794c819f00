"""What a training command reads of its words before it parses them, and the commands it names at its end."""

from __future__ import annotations

import shlex

from xecgnet_jax.cli.common import CorpusArguments
from xecgnet_jax.config import PRESETS
from xecgnet_jax.errors import ConfigError


def evaluate_command(what: list[str], corpus: CorpusArguments) -> str:
    """xecgnet-eval, `what`, and the options that name the corpus."""
    words = ["xecgnet-eval", *what]
    if corpus.data is not None:
        words += ["--data", str(corpus.data)]
    ordinary = CorpusArguments()
    for name in ("cache", "on_bad_recording", "simulate", "simulate_seed"):
        if getattr(corpus, name) != getattr(ordinary, name):
            words += [f"--{name.replace('_', '-')}", str(getattr(corpus, name))]
    return shlex.join(words)


def take_preset(words: list[str]) -> tuple[str, list[str]]:
    """The value of --preset and the words without it."""
    rest = list(words)
    for position, word in enumerate(rest):
        if word == "--preset":
            if position + 1 == len(rest):
                raise ConfigError(f"--preset needs a name: {', '.join(PRESETS)}")
            return rest[position + 1], rest[:position] + rest[position + 2 :]
        if word.startswith("--preset="):
            return word.split("=", 1)[1], rest[:position] + rest[position + 1 :]
    return "quick", rest


def option(words: list[str], name: str) -> str | None:
    """The value of an option among the words, or None."""
    for position, word in enumerate(words):
        if word == name and position + 1 < len(words):
            return words[position + 1]
        if word.startswith(name + "="):
            return word.split("=", 1)[1]
    return None
