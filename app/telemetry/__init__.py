"""Figures of a running process, for Prometheus (docs/observability.md)."""
