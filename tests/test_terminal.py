"""What is printed moves no cursor, forges no line and is no formula."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests import commands as cli
from tests.learnable_corpus import write
from xecgnet_jax.terminal import cell, printable, say, warn

ROOT = Path(__file__).resolve().parents[1]


def test_control_characters_of_files_are_not_printed(capsys):
    say("a\x1b[2Jb\x07", "c\r\u202ed\ue000")
    warn("\x1b]0;title\x07 one\nanother")
    printed = capsys.readouterr()
    assert printed.out == "a [2Jb  c  d \n"
    assert printed.err == " ]0;title  one\nanother\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@a", "'@a"),
        ("A-1=2", "A-1=2"),
        ("a\x1b\nb", "a  b"),
    ],
)
def test_no_cell_is_computed_by_a_spreadsheet(text, shown):
    assert cell(text) == shown


def test_what_is_not_utf8_can_be_printed():
    assert printable("a\udcff").isprintable()


def test_codes_of_a_corpus_are_printed_without_escapes(tmp_path, capsys):
    folder = write(tmp_path / "c\x1b[31mred", recordings=4)
    table = folder / "labels.csv"
    table.write_text(table.read_text().replace("R003,AF", "R003,AF;\x1b[2J", 1))
    assert cli.corpus([str(folder)]) == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err and "red" in printed.out


def test_an_error_is_printed_without_escapes(tmp_path, capsys):
    assert cli.corpus([str(tmp_path / "no\x1b[2Jthing")]) == 2
    assert "no [2Jthing" in capsys.readouterr().err


def test_nothing_is_printed_past_this_layer():
    """Every other module calls `say` and `warn`."""
    found = []
    for path in (ROOT / "xecgnet_jax").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                found.append(path.name)
    assert set(found) == {"terminal.py"}
