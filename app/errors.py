"""Every error that a user of Crosstalk can meet, with a stable code. Knows neither HTTP nor exit codes.

CrosstalkError
├── InputError                     what was handed in cannot be used
│   ├── AudioUnreadable            audio_unreadable      not media, or broken beyond reading
│   ├── AudioTruncated             audio_truncated       the file ends before any sound could be read
│   ├── NoAudioTrack               no_audio_track        media without sound
│   ├── AudioEmpty                 audio_empty           a file of zero bytes, or a track of zero samples
│   ├── AudioTooLong               audio_too_long        decodes to more than the limit allows
│   ├── AudioFormatUnsupported     audio_format_unsupported   rate, channel count or layout outside the limits
│   ├── FileUnreadable             file_unreadable       missing, a folder, or no permission
│   └── OptionInvalid              option_invalid        an unknown language, format, decoder or a wrong number
├── OutputError                    output_failed         the result cannot be written (disk full, no permission)
├── SetupError                     this installation cannot work yet
│   └── ModelUnavailable           model_unavailable     weights missing, damaged or of another model
└── EngineError                    the models failed
    ├── EngineFailed               engine_failed         a batch raised; the cause is chained
    ├── EngineClosed               engine_closed         asked after close
    └── Overloaded                 overloaded            more work than may wait
"""

from __future__ import annotations


class CrosstalkError(Exception):
    """Base of all errors shown to users. `code` is stable and safe to program against; `param` names the culprit."""

    code = "internal_error"

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class InputError(CrosstalkError):
    code = "input_invalid"


class AudioUnreadable(InputError):
    code = "audio_unreadable"


class AudioTruncated(InputError):
    code = "audio_truncated"


class NoAudioTrack(InputError):
    code = "no_audio_track"


class AudioEmpty(InputError):
    code = "audio_empty"


class AudioTooLong(InputError):
    code = "audio_too_long"


class AudioFormatUnsupported(InputError):
    code = "audio_format_unsupported"


class FileUnreadable(InputError):
    code = "file_unreadable"


class OptionInvalid(InputError):
    code = "option_invalid"


class OutputError(CrosstalkError):
    code = "output_failed"


class SetupError(CrosstalkError):
    code = "setup_incomplete"


class ModelUnavailable(SetupError):
    code = "model_unavailable"


class EngineError(CrosstalkError):
    code = "engine_error"


class EngineFailed(EngineError):
    code = "engine_failed"


class EngineClosed(EngineError):
    code = "engine_closed"


class Overloaded(EngineError):
    code = "overloaded"
