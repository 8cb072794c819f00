"""Files on disk → recordings: WFDB, CPSC2018's .mat, CSV tables."""
