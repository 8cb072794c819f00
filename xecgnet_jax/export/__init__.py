"""A trained run as one file that predicts without this package."""
