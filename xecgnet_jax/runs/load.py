"""Trained runs: a working directory, a checkpoint or weights → a model that predicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from xecgnet_jax.config import Config
from xecgnet_jax.data.labels import Vocabulary
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.data.normalization import Normalization
from xecgnet_jax.data.pack import Pack
from xecgnet_jax.data.signals import SignalSpec, signal_spec
from xecgnet_jax.data.splits import people_text, read_patients, read_people, read_split, split_text
from xecgnet_jax.data.windows import evaluation_windows, window_spec
from xecgnet_jax.errors import CheckpointError
from xecgnet_jax.evaluation.inference import Maps, Predict, Predictions, make_predict, predict_recordings
from xecgnet_jax.evaluation.metrics import apply_thresholds
from xecgnet_jax.evaluation.platt import Calibration
from xecgnet_jax.evaluation.thresholds import NAMES, ThresholdName, Thresholds, half
from xecgnet_jax.files import sha256
from xecgnet_jax.model import Collapsed, XECGNet, apply_collapsed, collapse
from xecgnet_jax.runs import weights
from xecgnet_jax.runs.arrays import check_signals
from xecgnet_jax.training.checkpoint import FOLDER, SavedCheckpoints
from xecgnet_jax.training.description import Description
from xecgnet_jax.training.initial import by_name
from xecgnet_jax.training.state import Variables, build_model
from xecgnet_jax.training.surroundings import fixed_arithmetic
from xecgnet_jax.training.workdir import INITIAL_RECORDINGS, SPLIT


class Prediction(NamedTuple):
    """What a run says of R recordings; of one that was given alone, there is no axis or list of recordings.

    Attributes:
      probabilities: [R, C] float32, columns as `Run.classes`.
      calibrated: [R, C] float64, the same calibrated on the validation part; None where the checkpoint has no
        calibration.
      label_sets: the predicted classes of each recording by the raw probabilities, possibly none.
      maps: of each recording, in samples at the network's rate; None where they were not asked for.
    """

    probabilities: np.ndarray
    calibrated: np.ndarray | None
    label_sets: list[tuple[str, ...]] | tuple[str, ...]
    maps: list[Maps] | Maps | None


@dataclass(frozen=True, eq=False)
class Run:
    """A checkpoint, ready to predict.

    Attributes:
      workdir, step: of the training run, and of the checkpoint; for weights, workdir is their folder.
      description: what the checkpoint says of itself: config, classes, normalization, thresholds, calibration.
      model, variables: the module and its variables.
      named: the checkpoint was asked for by its step, not as the best one.
      saved: weights of `save_pretrained`, no working directory.
    """

    workdir: Path
    step: int
    description: Description
    model: XECGNet
    variables: Variables
    named: bool = False
    saved: bool = False

    @property
    def config(self) -> Config:
        """Of the training run."""
        return self.description.config

    @property
    def vocabulary(self) -> Vocabulary:
        """What the classes mean."""
        return self.description.vocabulary

    @property
    def normalization(self) -> Normalization:
        """Per lead, of the training part."""
        return self.description.normalization

    @property
    def data(self) -> dict[str, Any]:
        """What the run was trained on, as `Dataset.description`."""
        return self.description.data

    @property
    def calibration(self) -> Calibration | None:
        """Of the probabilities; None where the checkpoint has none."""
        return self.description.calibration

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.vocabulary.classes

    @property
    def title(self) -> str:
        """What and where it is: "checkpoint 7 of runs/a"."""
        if not self.saved:
            return f"checkpoint {self.step} of {self.workdir}"
        packaged = weights.pretrained_folder(self.workdir.name) == self.workdir
        return f"weights {self.workdir.name} of this package" if packaged else f"weights {self.workdir}"

    @property
    def results(self) -> Path:
        """Where evaluations are kept: in the working directory; of weights, in runs/NAME-DIGEST."""
        own = Path("runs") / f"{self.workdir.resolve().name}-{self.digest()[:8]}" if self.saved else self.workdir
        return own / "evaluation"

    @property
    def split_file(self) -> Path:
        """The file that says which recordings the run was made with; weights may have none."""
        return self.workdir / (weights.SPLIT if self.saved else SPLIT)

    @property
    def initial_file(self) -> Path:
        """The file that says which recordings the weights knew with which the run began; most runs have none."""
        return self.workdir / (weights.INITIAL if self.saved else INITIAL_RECORDINGS)

    @property
    def signals(self) -> SignalSpec:
        """Rate and filter of the signals that the network sees."""
        return signal_spec(self.config.data)

    def predict(
        self,
        signals: np.ndarray | Sequence[np.ndarray],
        *,
        rate: float | None = None,
        thresholds: ThresholdName = "0.5",
        maps: bool = False,
        batch_size: int = 32,
        progress: bool = False,
    ) -> Prediction:
        """Predicts ECGs that are arrays, with the window that the run was trained with.

        Args:
          signals: one recording [T, 12], several of one length [B, T, 12], or a list of [T, 12] of any lengths, in mV,
            leads in the order I, II, III, aVR, aVL, aVF, V1–V6.
          rate: sampling rate of the signals in Hz, from which they are resampled; None: the network's own.
          thresholds: from which probabilities on a class is predicted, see `thresholds`.
          maps, progress: give the maps, too; show a progress bar.
          batch_size: windows in a step.

        Raises:
          ValueError: signals of another shape, or with values that are no voltages; an impossible rate.
          CheckpointError: this checkpoint has no such thresholds.
        """
        chosen = self.thresholds(thresholds)
        is_one = not isinstance(signals, list | tuple) and np.ndim(signals) == 2
        if not isinstance(signals, list | tuple):
            signals = np.asarray(signals)[None] if is_one else np.asarray(signals)
        recordings = check_signals(signals, self.signals.rate if rate is None else rate, self.signals)
        lengths = np.array([len(signal) for signal in recordings])
        windows = len(evaluation_windows(lengths, window_spec(self.config))[0])
        size = min(batch_size, windows)
        found = self.predict_signals(recordings.__getitem__, lengths, maps=maps, batch_size=size, progress=progress)
        label_sets = self.label_sets(apply_thresholds(found.probabilities, chosen.values))
        calibrated = self.calibrate(found.probabilities)
        if is_one:
            map_of_one = None if found.maps is None else found.maps[0]
            calibrated = None if calibrated is None else calibrated[0]
            return Prediction(found.probabilities[0], calibrated, label_sets[0], map_of_one)
        return Prediction(found.probabilities, calibrated, label_sets, found.maps)

    def calibrate(self, probabilities: np.ndarray) -> np.ndarray | None:
        """Returns probabilities or thresholds [.., C] on the calibrated scale; None where the checkpoint has none."""
        return None if self.calibration is None else self.calibration.apply(probabilities)

    def predict_rows(
        self, pack: Pack, rows: np.ndarray, *, maps: bool = False, batch_size: int = 32, progress: bool = False
    ) -> Predictions:
        """Predicts the recordings of a pack that have these rows; see `predict_signals`.

        A batch is no larger than their windows.
        """
        numbers = rows.tolist()
        batch_size = min(batch_size, len(evaluation_windows(pack.lengths[rows], window_spec(self.config))[0]))
        return self.predict_signals(
            lambda at: pack.signal(numbers[at]), pack.lengths[rows], maps=maps, batch_size=batch_size, progress=progress
        )

    @fixed_arithmetic()
    def predict_signals(
        self,
        signal: Callable[[int], np.ndarray],
        lengths: np.ndarray,
        *,
        maps: bool = False,
        batch_size: int = 32,
        progress: bool = False,
    ) -> Predictions:
        """Predicts signals that are read one after another, with the window that the run was trained with.

        Args:
          signal, lengths: position → [T, 12] float32 mV, as `signals` says, leads in the standard order; [R] samples.
          maps, progress: give the maps, too; show a progress bar.
          batch_size: windows in a step; fewer are filled up, so that nothing is compiled again.
        """
        spec = window_spec(self.config)
        windows = len(evaluation_windows(lengths, spec)[0])
        with tqdm(total=windows, unit="window", desc="predict", disable=None if progress else True) as bar:
            return predict_recordings(
                self._predict,
                self._collapsed.variables,
                signal,
                lengths,
                spec=spec,
                normalization=self.normalization,
                batch_size=batch_size,
                maps=maps,
                progress=bar.update,
            )

    def thresholds(self, name: ThresholdName) -> Thresholds:
        """Returns the thresholds of that name; all but "0.5" were chosen on the validation part while training.

        Raises:
          CheckpointError: this checkpoint has none, or of no such name.
        """
        if name == "0.5":
            return half(len(self.classes))
        if self.description.thresholds is None:
            raise CheckpointError(
                f"{self.title} has no thresholds but 0.5: it was saved in the middle of an "
                "epoch, without looking at the validation part, or by an older version; use another checkpoint, or 0.5"
            )
        if name not in self.description.thresholds:
            raise CheckpointError(f"{self.title}: there are no thresholds {name!r}; possible: {', '.join(NAMES)}")
        return self.description.thresholds[name]

    def all_thresholds(self) -> list[Thresholds]:
        """Returns 0.5, and those of the checkpoint."""
        return [half(len(self.classes)), *(self.description.thresholds or {}).values()]

    def label_sets(self, labels: np.ndarray) -> list[tuple[str, ...]]:
        """Returns the names of the classes that are 1 in each row of labels [R, C], true or predicted ones."""
        return [tuple(compress(self.classes, row)) for row in labels]

    def save_pretrained(self, folder: str | Path, *, split: bool = False) -> None:
        """Writes model.safetensors, config.json and a model card (README.md) to a folder, which `load_run` reads.

        The card has the metrics of the run's kept evaluations of a test part (`evaluate`). Nothing in the folder names
        a recording, unless `split` is true: then split.csv.gz says which recordings and patients the run was made with,
        so that they are recognized when a corpus is scored.
        """
        from xecgnet_jax.runs.card import model_card

        made_with = {}
        if split:
            made_with[weights.SPLIT] = split_text(read_split(self.split_file), read_patients(self.split_file))
            if self.initial_file.exists():
                made_with[weights.INITIAL] = people_text(read_people(self.initial_file))
        weights.write_weights(
            Path(folder),
            self.variables,
            self.step,
            weights.without_paths(self.description.to_json()),
            partial(model_card, self, Path(folder).name),
            made_with,
        )

    def digest(self) -> str:
        """Returns the sha256 of all weights, in the order of their names."""
        return sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(self.variables)))

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out what is compiled, so that a run can be pickled and copied whenever."""
        return {name: value for name, value in vars(self).items() if name != "_collapsed"}

    @cached_property
    def _collapsed(self) -> Collapsed:
        return collapse(self.model, self.variables)

    @property
    def _predict(self) -> Predict:
        return _predict_step(self.model)


@lru_cache(maxsize=16)
def _predict_step(model: XECGNet) -> Predict:
    """Compiled once for all runs of one network, however often they predict."""
    return make_predict(partial(apply_collapsed, model))


def load_run(path: str | Path) -> Run:
    """Returns a trained run.

    Args:
      path: a working directory, of which the best checkpoint is taken; a checkpoint, WORKDIR/checkpoints/STEP; a folder
        of `Run.save_pretrained`; or, where there is no such path, the name of weights of this package (`PRETRAINED`).

    Raises:
      CheckpointError: there is none, or it is damaged.
    """
    path = _resolve(path)
    if weights.is_weights(path):
        saved = weights.read_weights(path)
        return _make_run(saved.description, saved.variables, path, saved.step, saved=True)
    checkpoints, workdir, step, named = _find_checkpoint(path)
    read = partial(checkpoints.model, step)
    return _make_run(checkpoints.description(step), read, workdir, step, named=named)


def load_pretrained(name: str = weights.DEFAULT) -> Run:
    """Returns the run of weights that come with this package. Raises CheckpointError naming the possible ones."""
    folder = weights.pretrained_folder(name)
    if folder is None:
        raise CheckpointError(f"{name}: this package has no such weights; it has {', '.join(weights.PRETRAINED)}")
    return load_run(folder)


@fixed_arithmetic()
def _make_run(
    description: Description, read: Callable[[Variables], Variables], workdir: Path, step: int, **kind: bool
) -> Run:
    """Returns the run of a description; `read` gives the variables of the shapes that it is given.

    Raises:
      CheckpointError: a variable is no number, or a variance below 0.
    """
    model = build_model(description.config.model, len(description.vocabulary.classes))
    like = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 1, len(LEADS))))
    variables = read(dict(like))
    weights.check_numbers(by_name(variables), workdir if kind.get("saved") else workdir / FOLDER / str(step))
    return Run(workdir=workdir, step=step, description=description, model=model, variables=variables, **kind)


def _resolve(path: str | Path) -> Path:
    """Returns the folder that is meant: of weights of this package where there is no such path."""
    packaged = weights.pretrained_folder(str(path))
    return Path(path) if packaged is None or Path(path).exists() else packaged


def describe_run(path: str | Path) -> Description:
    """Returns what the checkpoint that `load_run` takes says of itself, without its weights.

    Raises:
      CheckpointError: as `load_run`.
    """
    path = _resolve(path)
    if weights.is_weights(path):
        return weights.read_weights(path).description
    checkpoints, _, step, _ = _find_checkpoint(path)
    return checkpoints.description(step)


def _find_checkpoint(path: Path) -> tuple[SavedCheckpoints, Path, int, bool]:
    """Returns (checkpoints, working directory, step, whether the path names the step)."""
    named = path.name.isdigit() and path.parent.name == FOLDER
    workdir = path.parent.parent if named else path
    checkpoints = SavedCheckpoints(workdir)
    if named and not path.is_dir():
        raise CheckpointError(f"{path}: there is no such checkpoint")
    return checkpoints, workdir, int(path.name) if named else checkpoints.best(), named
