"""Target-speaker Whisper: one model that is told who speaks when and writes what one of them says.

Masks of who speaks (`masks`), the conditioned encoder (`modeling`), weights on disk (`checkpoint`).
Method: Polok et al., "DiCoW: Diarization-Conditioned Whisper for Target Speaker Automatic Speech Recognition"
(arXiv 2501.00114).
"""

from models.compat import prepare

prepare()
