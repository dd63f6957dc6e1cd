"""Who may do what: API keys, single-use tokens, share links, limits of a key, and the log of who did what.

`types`, `secret` and `limits` are pure rules; `tables` and the others keep them in the store. Knows no HTTP.
"""

from app.access.service import Access, AccessRules
from app.access.types import ApiKey, Identity, KeyLimits, NewKey, Scope

__all__ = ["Access", "AccessRules", "ApiKey", "Identity", "KeyLimits", "NewKey", "Scope"]
