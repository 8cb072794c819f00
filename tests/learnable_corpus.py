"""A corpus that a small network learns in a few steps, WFDB records and a labels.csv; and the settings to do so."""

from pathlib import Path

import numpy as np

from tests.data.small_corpus import write_record
from xecgnet_jax.config import Config, DataConfig, ModelConfig, ObjectiveConfig, OptimizerConfig
from xecgnet_jax.data.leads import LEADS, RATE

CODES = ("AF", "Normal", "RBBB", "AF;RBBB")
FREQUENCIES = {"AF": 7.0, "Normal": 2.0, "RBBB": 30.0}


def write(folder: Path, *, recordings: int = 24, seed: int = 0, longest: int = 1500, prefix: str = "R") -> Path:
    """Noise with a sinusoid per class in every lead: of unequal lengths, two recordings a patient, three folds."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    rows = ["id,labels,patient,fold"]
    for index in range(recordings):
        codes = CODES[index // 2 % len(CODES)]
        length = int(rng.integers(600, longest + 1))
        seconds = np.arange(length)[:, None] / RATE
        signal = 0.05 * rng.standard_normal((length, len(LEADS)))
        for code in codes.split(";"):
            signal += np.sin(2 * np.pi * (FREQUENCIES[code] * seconds + rng.uniform()))
        name = f"{prefix}{index:03d}"
        write_record(folder, name, np.round(1000 * signal).astype(np.int16))
        rows.append(f"{name},{codes},P{index // 2},{index // 2 % 3 + 1}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


CONFIG = Config(
    model=ModelConfig(width=0.0625),
    objective=ObjectiveConfig(pos_weight_power=0.5),
    data=DataConfig(
        split="folds",
        train_folds=(1,),
        validation_folds=(2,),
        test_folds=(3,),
        window="whole",
        seconds=2.43,
        augment=1.0,
    ),
    optimizer=OptimizerConfig(
        optimizer="adamw", learning_rate=3e-3, schedule="cosine", warmup_epochs=1.0, clip_norm=1.0, ema_decay=0.9
    ),
    batch_size=4,
    epochs=4,
    patience=0,
    seed=3,
)
#: The same as words for the command line.
WORDS = (
    "--preset fast --width 0.0625 --split folds --train-folds 1 --validation-folds 2 --test-folds 3 --seconds 2.43 "
    "--learning-rate 3e-3 --warmup-epochs 1 --weight-decay 0 --ema-decay 0.9 --batch-size 4 --epochs 4 --patience 0 "
    "--seed 3 --activation none --epsilon 1e-7 --workers 1"
).split()
