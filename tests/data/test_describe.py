"""What `python -m xecgnet_jax.data FOLDER` tells of a corpus."""

from tests.data import small_corpus
from xecgnet_jax.data.__main__ import main


def test_all_codes_are_counted(tmp_path, capsys):
    assert main([str(small_corpus.write_corpus(tmp_path / "corpus"))]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0][-3:] == ["wfdb-csv,", "4", "recordings"]
    assert ["AF", "2"] in lines and ["Normal", "1"] in lines and ["STE", "0"] in lines
    assert ["XYZ", "2"] in lines


def test_a_folder_that_is_no_corpus(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("error: ")
