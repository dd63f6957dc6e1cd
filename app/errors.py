"""Every error that a user of Crosstalk can meet, with a stable code. Knows neither HTTP nor exit codes.

CrosstalkError
├── InputError                     what was handed in cannot be used
│   ├── AudioUnreadable            audio_unreadable      not media, or broken beyond reading
│   ├── AudioTruncated             audio_truncated       the file ends before any sound could be read
│   ├── NoAudioTrack               no_audio_track        media without sound
│   ├── AudioEmpty                 audio_empty           a file of zero bytes, or a track of zero samples
│   ├── AudioTooLong               audio_too_long        decodes to more than the limit allows
│   ├── AudioFormatUnsupported     audio_format_unsupported   rate, channel count or layout outside the limits
│   ├── SampleUnusable             sample_unusable       no voice can be learnt from a sample
│   │   ├── SampleSilent           sample_no_speech      nobody speaks in it
│   │   ├── SampleTooShort         sample_too_short      too little speech of one person alone
│   │   └── SeveralVoices          sample_several_voices more than one person speaks in it
│   ├── FileUnreadable             file_unreadable       missing, a folder, or no permission
│   ├── OptionInvalid              option_invalid        an unknown language, format, decoder or a wrong number
│   │   └── WebhookRefused         webhook_refused       not an http(s) URL, a private address, or webhooks are off
│   └── BadSnapshot                snapshot_invalid      damaged, or of other models (app/live/snapshot.py)
├── OutputError                    output_failed         the result cannot be written (disk full, no permission)
├── SetupError                     this installation cannot work yet
│   └── ModelUnavailable           model_unavailable     weights missing, damaged or of another model
├── StoreError                     what lasts cannot be kept or found
│   ├── StoreUnavailable           store_unavailable     the database is lost, locked or starting; try again
│   │   └── StoreFull              store_full            no room left for the database
│   └── BlobMissing                audio_missing         the recording's sound is not in the blob store any more
├── JobError                       a recording's job is not as the caller thinks
│   ├── JobNotFound                job_not_found         unknown or deleted
│   ├── JobStateInvalid            job_state_conflict    not possible in the state that the job is in
│   ├── QueueFull                  queue_full            as many recordings wait as may
│   ├── RevisionConflict           revision_conflict     somebody else edited the transcript meanwhile
│   ├── IdempotencyConflict        idempotency_key_reused   the key was used for another request
│   ├── SpeakerNotFound            speaker_not_found     no such known speaker
│   ├── UploadNotFound             upload_not_found      no such upload in parts, or its time is over
│   ├── UploadConflict             upload_conflict       an upload in parts is not as the caller thinks
│   │   ├── UploadOffsetMismatch   upload_offset_mismatch  what was sent does not begin where the upload ends
│   │   ├── UploadIncomplete       upload_incomplete     some of the file has not come yet
│   │   └── UploadUsed             upload_used           a recording was made of it already
│   ├── AttemptsExhausted          attempts_exhausted    the job ended its worker too often
│   └── WindowTimeout              window_timeout        the models did not answer a window in time
├── AccessError                    who asks may not have this
│   ├── KeyInvalid                 invalid_api_key       no key, or a wrong, expired or revoked one; tokens alike
│   ├── ScopeMissing               scope_missing         the key is good, but not for this
│   ├── LimitReached               limit_reached         the key's rate, concurrency or minutes of sound
│   │   └── QueueShareFull         queue_limit_reached   as many recordings of this tenant wait as may
│   ├── KeyNotFound                key_not_found         no such API key
│   └── ShareNotFound              share_not_found       no such link for viewers
└── EngineError                    the models failed
    ├── EngineFailed               engine_failed         a batch raised; the cause is chained
    ├── EngineClosed               engine_closed         asked after close
    ├── EngineUnavailable          engine_unavailable    no inference worker could be reached, or none answered in time
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


class SampleUnusable(InputError):
    code = "sample_unusable"


class SampleSilent(SampleUnusable):
    code = "sample_no_speech"


class SampleTooShort(SampleUnusable):
    code = "sample_too_short"


class SeveralVoices(SampleUnusable):
    code = "sample_several_voices"


class FileUnreadable(InputError):
    code = "file_unreadable"


class OptionInvalid(InputError):
    code = "option_invalid"


class WebhookRefused(OptionInvalid):
    code = "webhook_refused"


class OutputError(CrosstalkError):
    code = "output_failed"


class SetupError(CrosstalkError):
    code = "setup_incomplete"


class ModelUnavailable(SetupError):
    code = "model_unavailable"


class StoreError(CrosstalkError):
    code = "store_error"


class StoreUnavailable(StoreError):
    code = "store_unavailable"


class StoreFull(StoreUnavailable):
    code = "store_full"


class BlobMissing(StoreError):
    code = "audio_missing"


class JobError(CrosstalkError):
    code = "job_error"


class JobNotFound(JobError):
    code = "job_not_found"


class JobStateInvalid(JobError):
    code = "job_state_conflict"


class QueueFull(JobError):
    """`retry_after_s`: when a place should be free, by the pace at which recordings leave."""

    code = "queue_full"

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: int = 60) -> None:
        super().__init__(message, param=param)
        self.retry_after_s = retry_after_s


class RevisionConflict(JobError):
    code = "revision_conflict"


class IdempotencyConflict(JobError):
    code = "idempotency_key_reused"


class SpeakerNotFound(JobError):
    code = "speaker_not_found"


class UploadNotFound(JobError):
    code = "upload_not_found"


class UploadConflict(JobError):
    code = "upload_conflict"


class UploadOffsetMismatch(UploadConflict):
    code = "upload_offset_mismatch"


class UploadIncomplete(UploadConflict):
    code = "upload_incomplete"


class UploadUsed(UploadConflict):
    code = "upload_used"


class AttemptsExhausted(JobError):
    code = "attempts_exhausted"


class WindowTimeout(JobError):
    code = "window_timeout"


class AccessError(CrosstalkError):
    code = "access_error"


class KeyInvalid(AccessError):
    code = "invalid_api_key"


class ScopeMissing(AccessError):
    code = "scope_missing"


class LimitReached(AccessError):
    """`retry_after_s`: when another try may pass."""

    code = "limit_reached"

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: int = 60) -> None:
        super().__init__(message, param=param)
        self.retry_after_s = retry_after_s


class QueueShareFull(LimitReached):
    """`retry_after_s`: as that of QueueFull."""

    code = "queue_limit_reached"


class KeyNotFound(AccessError):
    code = "key_not_found"


class ShareNotFound(AccessError):
    code = "share_not_found"


class EngineError(CrosstalkError):
    code = "engine_error"


class EngineFailed(EngineError):
    code = "engine_failed"


class EngineClosed(EngineError):
    code = "engine_closed"


class EngineUnavailable(EngineError):
    code = "engine_unavailable"


class Overloaded(EngineError):
    code = "overloaded"
