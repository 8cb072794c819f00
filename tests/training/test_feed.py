"""The training part on the device or on the host: the same run, however often the host looks up."""

import dataclasses
import threading
from contextlib import closing
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.data.planned import make_batch
from tests.learnable_corpus import CONFIG
from tests.training.of_runs import assert_same_bits
from xecgnet_jax.data.batches import cut_counts, to_batch
from xecgnet_jax.data.windows import Plan
from xecgnet_jax.errors import DivergedError
from xecgnet_jax.training import feed, loop
from xecgnet_jax.training.feed import StreamedFeed
from xecgnet_jax.training.loop import fit
from xecgnet_jax.training.step import METRICS, accumulate, check_finite, zero_metrics
from xecgnet_jax.training.workdir import read_metrics

pytestmark = pytest.mark.ci


@pytest.mark.slow  # moving between both, below, shows the same in parts
def test_a_run_with_its_data_on_the_host_is_the_same(dataset, engine, finished, tmp_path, monkeypatch):
    """Looking up after each step, too: the other looked up now and then."""
    monkeypatch.setattr(loop, "LOOK_UP_SECONDS", 0)
    fit(CONFIG, dataset, tmp_path / "run", progress=False, data_on="host", engine=engine)
    assert_same_bits(finished, tmp_path / "run")


def test_what_fits_is_on_the_device(dataset, monkeypatch):
    rows = int(dataset.pack.lengths[dataset.train].sum()) + 2 * 1215
    size = rows * 12 * 2
    accelerator = SimpleNamespace(platform="gpu", memory_stats=lambda: {"bytes_limit": limit})
    limit = int(size / feed.SHARE) + 1
    assert feed.fits(dataset, 1215, [accelerator])
    limit = int(size / feed.SHARE) - 1
    assert not feed.fits(dataset, 1215, [accelerator])
    monkeypatch.setattr(feed, "_memory", lambda: int(size / feed.SHARE_OF_COMPUTER) - 1)
    assert not feed.fits(dataset, 1215, jax.devices("cpu")[:1])


def test_what_does_not_fit_is_streamed(dataset, engine, tmp_path, monkeypatch):
    """`auto` asks; the run is that with its data on the host, and says what it waited."""
    monkeypatch.setattr(feed, "fits", lambda *_: False)
    made = []
    monkeypatch.setattr(feed, "StreamedFeed", lambda *given: made.append(StreamedFeed(*given)) or made[-1])
    fit(CONFIG, dataset, tmp_path / "run", progress=False, engine=engine)
    (data,) = made
    waited = [record["waited_seconds"] for record in read_metrics(tmp_path / "run")]
    assert all(seconds >= 0 for seconds in waited) and 0 < sum(waited) <= data.waited
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


@pytest.mark.parametrize("data_on", ["device", "host"])
def test_a_feed_gives_the_batches_of_make_batch(dataset, engine, data_on):
    """From the middle of an epoch, too."""
    with closing(feed.make_feed(engine, dataset, data_on)) as source:
        for step, inputs in enumerate(source.rest_of_epoch(CONFIG.seed, 4), 4):
            plan = Plan(*(value[step % engine.per_epoch] for value in inputs.plans))
            counts = cut_counts(inputs.source, plan, engine.samples) if data_on == "device" else inputs.source
            found = jax.jit(partial(to_batch, masked=True))(counts, plan, inputs.table)
            for one, other in zip(found, make_batch(CONFIG, dataset, step), strict=True):
                np.testing.assert_array_equal(one, other)
    assert step == 5


def test_sums_go_on_within_an_epoch(dataset):
    """Losses of an epoch are the sums of its steps'; the first that is not finite is named, and kept."""
    steps = [{name: jnp.float32(index + place) for place, name in enumerate(METRICS)} for index in range(4)]
    losses = zero_metrics({})
    for index, metrics in enumerate(steps):
        losses = accumulate(losses, jnp.int32(index), metrics)
    check_finite(losses)
    assert {name: float(value) for name, value in losses.sums.items()} == {
        name: sum(range(4)) + 4 * place for place, name in enumerate(METRICS)
    }
    kept = {name: float(value) for name, value in losses.sums.items()}
    again = accumulate(zero_metrics(kept), jnp.int32(4), steps[0])
    assert float(again.sums["loss"]) == float(losses.sums["loss"]) + 0
    worse = accumulate(losses, jnp.int32(4), steps[0] | {"alignment": jnp.float32(np.inf)})
    worse = accumulate(worse, jnp.int32(5), steps[0] | {"loss": jnp.float32(np.nan)})
    with pytest.raises(DivergedError, match=r"the loss of step 4 is not finite \(loss 0, .*alignment inf"):
        check_finite(worse)


def test_nothing_is_compiled_after_the_first_epoch(dataset, tmp_path):
    """Validation and checkpoints included; counted by JAX itself."""
    compiled = []

    def note(event: str, seconds: float, **_) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(len(read_metrics(tmp_path / "run")))

    jax.monitoring.register_event_duration_secs_listener(note)
    try:
        jax.clear_caches()
        fit(CONFIG, dataset, tmp_path / "run", progress=False, save_every=2)
    finally:
        jax.monitoring.unregister_event_duration_listener(note)
    assert compiled.count(0) > 3
    assert set(compiled) == {0}


def test_an_error_in_the_thread_ends_the_run_and_the_thread(dataset, engine, tmp_path):
    """The map of a pack whose file is gone, say."""

    class Broken:
        shape, dtype, itemsize = dataset.pack.samples.shape, np.dtype(np.int16), 2

        def __getitem__(self, _):
            raise OSError("the pack cannot be read")

    broken = dataclasses.replace(dataset, pack=dataclasses.replace(dataset.pack, samples=Broken()))
    with pytest.raises(OSError, match="the pack cannot be read"):
        fit(CONFIG, broken, tmp_path / "run", progress=False, data_on="host", engine=engine)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_a_run_may_move_between_device_and_host(dataset, engine, finished, tmp_path):
    """Stopped after the second epoch, gone on with elsewhere."""

    def stop(record):
        if record["step"] == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(CONFIG, dataset, tmp_path / "run", progress=False, data_on="host", on_epoch=stop, engine=engine)
    assert len(read_metrics(tmp_path / "run")) == 2
    fit(CONFIG, dataset, tmp_path / "run", progress=False, data_on="device", engine=engine)
    assert_same_bits(finished, tmp_path / "run")
