"""`python -m drivereplay`: the command line, for places where the console script is not on the path."""

from __future__ import annotations

from drivereplay.cli import main

if __name__ == "__main__":
    main()
