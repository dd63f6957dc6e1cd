"""`python -m app.cli`: the command line from a folder that was never installed."""

from __future__ import annotations

import sys

from app.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
