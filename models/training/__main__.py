"""Command line: `python -m models.training prepare|train|evaluate|export`."""

from __future__ import annotations

import sys

from models.training.commands import main

if __name__ == "__main__":
    sys.exit(main())
