"""`/v1/listen`: Deepgram's live wire format over the same sessions as `/v1/live`. docs/deepgram.md is its page."""
