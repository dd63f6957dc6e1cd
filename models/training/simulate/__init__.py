"""The conversation simulator: single-speaker clips in, meetings with exact references out.

    clips (manifest) -> speech (trim, spans) -> conversation (who speaks when, by a timing table)
                     -> rooms, noise, channel -> mixing (the sound) -> writer (audio, RTTM, SegLST, set manifest)

Timing follows SASC (arXiv 2509.15808, used for LibriConvo, 2510.23320) with the overlap boost of FastMSS (2605.15442).
Command: `python -m models.training.simulate make|fit|plot|check-disjoint`.
"""
