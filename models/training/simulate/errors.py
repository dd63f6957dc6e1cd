"""Errors of the simulator, each with a stable `code`; the message names the thing that is wrong."""

from __future__ import annotations

from typing import ClassVar

from models.errors import ModelError


class SimulationError(ModelError):
    """Base of all errors of the simulator. One argument: the message."""

    code: ClassVar[str] = "simulation_failed"


class ManifestInvalid(SimulationError):
    """A manifest of clips cannot be read, lacks a key, or names a file that is not there."""

    code: ClassVar[str] = "manifest_invalid"


class ClipUnreadable(SimulationError):
    """A clip cannot be decoded, or holds no speech."""

    code: ClassVar[str] = "clip_unreadable"


class SettingsInvalid(SimulationError):
    """A setting is unknown, of the wrong kind, or outside its limits."""

    code: ClassVar[str] = "settings_invalid"


class SpeakersShared(SimulationError):
    """Two lists that must be disjoint hold the same speaker."""

    code: ClassVar[str] = "speakers_shared"


class TimingInvalid(SimulationError):
    """A timing table, RTTM or SegLST file cannot be used."""

    code: ClassVar[str] = "timing_invalid"


class OutputFailed(SimulationError):
    """The result cannot be written: no permission, disk full, or the folder holds another set."""

    code: ClassVar[str] = "output_failed"
