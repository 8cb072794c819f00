"""How `conftest.py` has signatures checked at each call: by beartype, an int passing for a float as everywhere."""

from beartype import BeartypeConf, beartype

typechecked = beartype(conf=BeartypeConf(is_pep484_tower=True))
