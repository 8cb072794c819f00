"""Scripts beside the study of the claim."""

import csv

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from studies import missing_leads
from tests.learnable_corpus import write
from xecgnet_jax import load_pretrained
from xecgnet_jax.data.io.wfdb import read_record
from xecgnet_jax.data.leads import LEADS
from xecgnet_jax.errors import CorpusError

pytestmark = pytest.mark.ci


def test_the_table_of_missing_leads_has_what_the_network_says(tmp_path, capsys):
    """Two of its rows from the files, by zeros put in here and scikit-learn."""
    corpus = write(tmp_path / "corpus", recordings=18)
    missing_leads.main(missing_leads.Options(data=corpus, cache=tmp_path / "cache", fold=1))
    printed = capsys.readouterr().out
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if line.startswith("| ")]
    rows = {name: found for name, *found in cells[2:]}
    assert tuple(rows) == tuple(missing_leads.CASES)

    run = load_pretrained()
    with (corpus / "labels.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["fold"] == "1"]
    labels = np.array([[name in line["labels"].split(";") for name in run.classes] for line in lines])
    signals = [read_record(corpus / f"{line['id']}.hea").signal for line in lines]
    full = None
    for name, known in (("12", LEADS), ("1 (II)", ("II",))):
        fewer = [signal * np.isin(LEADS, known).astype(np.float32) for signal in signals]
        probabilities = run.predict(fewer, rate=500).probabilities
        sets = probabilities >= 0.5
        full = sets if full is None else full
        there = [column for column in range(9) if labels[:, column].any()]
        auroc = roc_auc_score(labels[:, there], probabilities[:, there], average="macro")
        expected = [auroc, f1_score(labels, sets, average="micro", zero_division=0), accuracy_score(labels, sets)]
        expected.append(np.mean((sets == full).all(axis=1)))
        np.testing.assert_allclose([float(cell) for cell in rows[name]], expected, atol=6e-4)

    with pytest.raises(CorpusError, match="no recordings in fold 99"):
        missing_leads.main(missing_leads.Options(data=corpus, cache=tmp_path / "cache", fold=99))
