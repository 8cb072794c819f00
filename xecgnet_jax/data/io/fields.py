"""Fields that files of any kind have: units, numbers, codes, ages and sexes."""

from __future__ import annotations

import re

#: Millivolts per unit. Case does not count: "mv" is common and nobody records megavolts.
MILLIVOLTS: dict[str, float] = {"mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "v": 1e3}

#: A decimal number in plain ASCII. `float` accepts more: `0_1`, `nan`, the digits of other scripts. Its length is
#: bounded, as in all expressions here: no text takes more time to match than in proportion to its length.
DECIMAL = r"[-+]?(?:\d{1,100}(?:\.\d{0,100})?|\.\d{1,100})(?:[eE][-+]?\d{1,3})?"

#: Codes of one recording, and characters of one code. Real recordings have up to a few dozen.
MOST_CODES, LONGEST_CODE = 1000, 200


def split_codes(text: str, separators: str) -> tuple[str, ...]:
    """Returns the codes of a cell or line, without the quotes and brackets that programs write around them.

    Raises:
      ValueError: there are more codes, or longer ones, than a recording has.
    """
    stripped = (code.strip().strip("'\"[](){}").strip() for code in re.split(separators, text))
    codes = tuple(code for code in stripped if code and code.lower() != "nan")
    if len(codes) > MOST_CODES or any(len(code) > LONGEST_CODE for code in codes):
        longest = max(map(len, codes))
        raise ValueError(
            f"{len(codes)} codes of up to {longest} characters; a recording has at most {MOST_CODES} of {LONGEST_CODE}"
        )
    return codes


def parse_age(text: str) -> float | None:
    """Returns years, or None for anything but a number from 0 to 130 ("NaN", "Unknown", PTB-XL's 300)."""
    try:
        age = float(text)
    except ValueError:
        return None
    return age if 0 <= age <= 130 else None


def parse_sex(text: str) -> str | None:
    """Returns "F", "M" or None. Bare numbers are None: corpora disagree on what 0 and 1 mean."""
    return {"f": "F", "female": "F", "m": "M", "male": "M"}.get(text.strip().lower())
