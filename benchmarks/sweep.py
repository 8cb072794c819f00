"""Several models trained as one program, against one after another."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from benchmarks.machine import threads
from benchmarks.ours import Epochs
from benchmarks.setting import Setting
from benchmarks.tables import Table, timing_table
from benchmarks.timing import interleaved, seconds_of

TOGETHER, APART = "together", "one after another"


def run(setting: Setting) -> Iterator[Table]:
    """A narrow network and the authors': small models leave more of a machine unused."""
    for width, members, batches in ((1 / 16, 8, 8), (setting.width, 2, 2)):
        if setting.quick:
            members, batches = 2, 2
        yield _table(setting, width, members, batches)
        if setting.quick:
            return


def _table(setting: Setting, width: float, members: int, batches: int) -> Table:
    recordings = batches * setting.batch_size
    dataset = setting.dataset(recordings)
    config = dataclasses.replace(setting.config, model=dataclasses.replace(setting.config.model, width=width))
    configs = [dataclasses.replace(config, seed=seed) for seed in range(members)]
    together = Epochs(configs, dataset, setting.scratch, resident=True)
    each = [Epochs([one], dataset, setting.scratch, resident=True) for one in configs]

    def apart() -> None:
        for one in each:
            one()

    compiling = {TOGETHER: seconds_of(together), APART: seconds_of(each[0])}
    timings = interleaved({TOGETHER: together, APART: apart}, repetitions=setting.repetitions(5))
    for one in (together, *each):
        one.close()
    return timing_table(
        f"{members} members of width {width:g} for {batches} batches of {setting.batch_size}, {threads()} threads",
        timings,
        baseline=APART,
        amount=members * recordings,
        unit="recordings",
        compiling=compiling,
        remarks=["Compiling includes the first epoch (one after another: of one member)."],
    )
