"""Names that an inference worker and its client share."""

from __future__ import annotations

IDENTITY_HEADER = "Crosstalk-Identity"
"""Which models the caller wants; a worker with others refuses."""

TIMEOUT_HEADER = "Crosstalk-Timeout-Ms"
"""How long the caller waits, in whole milliseconds."""
