"""The command `xecgnet`: `main.main` reads the command line, a dataclass for each subcommand runs it."""
