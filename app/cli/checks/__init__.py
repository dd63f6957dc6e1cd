"""What `crosstalk doctor` looks at. Each check takes the settings and gives findings; it changes nothing that stays."""

from app.cli.checks.finding import Finding, State

__all__ = ["Finding", "State"]
