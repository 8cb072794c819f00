"""The training part on the device or on the host: the same run, however often the host looks up."""

import dataclasses
import threading
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests import learnable_corpus
from tests.training.test_loop import CONFIG, arrays, assert_same_bits, lines
from xecgnet_jax.data.dataset import make_dataset
from xecgnet_jax.data.pack import pack_of
from xecgnet_jax.errors import DivergedError
from xecgnet_jax.model import Outputs
from xecgnet_jax.training import loop, resident
from xecgnet_jax.training.log import read_metrics
from xecgnet_jax.training.loop import fit
from xecgnet_jax.training.losses import added, begun, check
from xecgnet_jax.training.programs import Members, Programs, stacked
from xecgnet_jax.training.resident import ResidentData
from xecgnet_jax.training.state import TrainState, build_optimizer
from xecgnet_jax.training.step import METRICS, train_step
from xecgnet_jax.training.streamed import Ahead, StreamedData


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data-on")
    corpus = learnable_corpus.write(folder / "corpus", recordings=36)
    return make_dataset(pack_of(corpus, folder / "pack", workers=1, progress=False), CONFIG.data)


@pytest.fixture(scope="module")
def on_device(dataset, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("on-device") / "run"
    fit(CONFIG, dataset, workdir, progress=False, data_on="device")
    return workdir


def test_a_run_with_its_data_on_the_host_is_the_same(dataset, on_device, tmp_path, monkeypatch):
    """Looking up after each step, too: the other looked up now and then."""
    monkeypatch.setattr(loop, "LOOK_UP_SECONDS", 0)
    fit(CONFIG, dataset, tmp_path / "run", progress=False, data_on="host")
    assert_same_bits(on_device, tmp_path / "run")


def test_what_fits_is_on_the_device(dataset, monkeypatch):
    rows = int(dataset.pack.lengths[dataset.train].sum()) + 2 * 1215
    size = rows * 12 * 2
    accelerator = SimpleNamespace(platform="gpu", memory_stats=lambda: {"bytes_limit": limit})
    limit = int(size / resident.SHARE) + 1
    assert resident.fits(dataset, 1215, accelerator)
    limit = int(size / resident.SHARE) - 1
    assert not resident.fits(dataset, 1215, accelerator)
    monkeypatch.setattr(resident, "_memory", lambda: int(size / resident.SHARE_OF_COMPUTER) - 1)
    assert not resident.fits(dataset, 1215, jax.devices("cpu")[0])


def test_what_does_not_fit_is_streamed(dataset, tmp_path, monkeypatch):
    """`auto` asks; the run is that with its data on the host, and says what it waited."""
    monkeypatch.setattr(loop, "fits", lambda *_: False)
    made = []
    monkeypatch.setattr(loop, "StreamedData", lambda *given: made.append(StreamedData(*given)) or made[-1])
    fit(CONFIG, dataset, tmp_path / "run", progress=False)
    (data,) = made
    waited = [record["waited_seconds"] for record in read_metrics(tmp_path / "run")]
    assert all(seconds >= 0 for seconds in waited) and 0 < sum(waited) <= data.waited
    assert not [thread for thread in threading.enumerate() if thread.name == "batches"]


class Linear(Programs):
    """Logits from each lead's mean square: XLA's CPU compiler takes minutes for convolutions in a loop."""

    def __init__(self, dataset, *, batched):
        super().__init__(CONFIG, dataset, jax.devices()[:1])
        optimizer = build_optimizer(CONFIG.optimizer, CONFIG.epochs, self.per_epoch)

        def apply(variables, signal, *, train, bins, mutable):
            logits = jnp.mean(jnp.square(signal), axis=1) @ variables["params"]["kernel"]
            return Outputs(None, logits, None, None), {"batch_stats": {}}

        params = {"kernel": jnp.ones((12, 9))}
        self.start = TrainState(jnp.int32(0), {"params": params, "batch_stats": {}}, optimizer.init(params), None)
        self._train_step = partial(train_step, apply=apply, optimizer=optimizer, config=CONFIG)
        self.batched = batched

    def run(self, data, pieces):
        """The state after steps in pieces of so many, and each epoch's losses."""
        who = Members(np.uint32([CONFIG.seed]), np.float32([0.0]), np.array([True]))
        program = self.advance(1, resident=isinstance(data, ResidentData))
        fresh = self.spread(jax.tree.map(lambda value: value[None], begun({})), 1)
        states, losses = self.spread(stacked([self.start]), 1), fresh
        step = 0
        for count in pieces:
            states, losses = data.advance(program, states, losses, who, step, count)
            step += count
            if step % self.per_epoch == 0:
                losses = fresh
        data.close()
        return jax.tree.map(np.asarray, (states, losses))


def test_many_steps_in_a_program_are_the_steps_one_by_one(dataset):
    """Accelerators loop in the program; the loop's pieces leave no trace in the bits."""
    batched, single = Linear(dataset, batched=True), Linear(dataset, batched=False)
    assert single.per_epoch == 3
    once = batched.run(ResidentData(batched, dataset), [3, 2])
    assert int(once[0].step[0]) == 5
    pieces = batched.run(ResidentData(batched, dataset), [1, 2, 1, 1])
    for one, other in zip(jax.tree.leaves(once), jax.tree.leaves(pieces), strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.any(once[0].variables["params"]["kernel"] != 1)
    for data in (ResidentData, StreamedData):
        one_by_one = single.run(data(single, dataset), [1, 1, 1, 2])
        for one, other in zip(jax.tree.leaves(once), jax.tree.leaves(one_by_one), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_sums_go_on_within_an_epoch(dataset):
    """Losses of an epoch are the sums of its steps'; the first that is not finite is named, and kept."""
    steps = [{name: jnp.float32(index + place) for place, name in enumerate(METRICS)} for index in range(4)]
    losses = begun({})
    for index, metrics in enumerate(steps):
        losses = added(losses, jnp.int32(index), metrics)
    check(losses)
    assert {name: float(value) for name, value in losses.sums.items()} == {
        name: sum(range(4)) + 4 * place for place, name in enumerate(METRICS)
    }
    again = added(begun({name: float(value) for name, value in losses.sums.items()}), jnp.int32(4), steps[0])
    assert float(again.sums["loss"]) == float(losses.sums["loss"]) + 0
    worse = added(losses, jnp.int32(4), steps[0] | {"alignment": jnp.float32(np.inf)})
    worse = added(worse, jnp.int32(5), steps[0] | {"loss": jnp.float32(np.nan)})
    with pytest.raises(DivergedError, match=r"the loss of step 4 is not finite \(loss 0, .*alignment inf"):
        check(worse)


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


class TestAhead:
    def test_gives_one_after_the_other(self):
        ahead = Ahead(lambda number: number**2, 3)
        assert [ahead.take() for _ in range(20)] == [number**2 for number in range(3, 23)]
        assert ahead.next == 23
        ahead.close()

    def test_makes_no_more_than_it_may(self):
        made, enough = [], threading.Event()

        def make(number):
            made.append(number)
            if number == 3:
                enough.set()
            return number

        ahead = Ahead(make, 0, ahead=3)
        assert enough.wait(30)  # three lie ready, and a fourth waits for its place
        assert ahead.take() == 0
        ahead.close()
        assert made in ([0, 1, 2, 3], [0, 1, 2, 3, 4])

    def test_errors_reach_the_one_who_takes(self):
        def make(number):
            if number == 2:
                raise OSError("the disk is gone")
            return number

        ahead = Ahead(make, 0)
        assert [ahead.take(), ahead.take()] == [0, 1]
        for _ in range(2):
            with pytest.raises(OSError, match="the disk is gone"):
                ahead.take()
        ahead.close()

    def test_closes_while_nobody_takes(self):
        before = threading.active_count()
        ahead = Ahead(lambda number: number, 0)
        ahead.close()
        assert threading.active_count() == before


def test_an_error_in_the_thread_ends_the_run_and_the_thread(dataset, tmp_path):
    """The map of a pack whose file is gone, say."""

    class Broken:
        shape, dtype, itemsize = dataset.pack.samples.shape, np.dtype(np.int16), 2

        def __getitem__(self, _):
            raise OSError("the pack cannot be read")

    broken = dataclasses.replace(dataset, pack=dataclasses.replace(dataset.pack, samples=Broken()))
    with pytest.raises(OSError, match="the pack cannot be read"):
        fit(CONFIG, broken, tmp_path / "run", progress=False, data_on="host")
    assert not [thread for thread in threading.enumerate() if thread.name == "batches"]


def test_a_run_may_move_between_device_and_host(dataset, on_device, tmp_path, monkeypatch):
    """Stopped after the second epoch, gone on with elsewhere."""
    ordinary = loop._Loop._end_epoch

    def stop(self, crew, active):
        ordinary(self, crew, active)
        if active[0].step == 6:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop._Loop, "_end_epoch", stop)
        fit(CONFIG, dataset, tmp_path / "run", progress=False, data_on="host")
    assert len(read_metrics(tmp_path / "run")) == 2
    fit(CONFIG, dataset, tmp_path / "run", progress=False, data_on="device")
    assert lines(on_device) == lines(tmp_path / "run")
    assert arrays(on_device).keys() == arrays(tmp_path / "run").keys()
