"""Every setting of Crosstalk: its name, unit, default and meaning. Read at the entry points from the environment and
from the TOML file that CROSSTALK_CONFIG names; docs/settings.md is made of it.

`CROSSTALK_LOG__FORMAT=json` sets `log.format`; a group may also be given whole, as JSON:
`CROSSTALK_LOG='{"level": "debug"}'`. A name that is not a setting is refused, so that a typing error cannot pass for a
default. `load_settings` is called only in `app/main.py` and `app/cli`; everything else gets plain values.
"""

from app.settings.access import AccessGroup
from app.settings.base import Group
from app.settings.engine import EngineGroup
from app.settings.file import SettingsInvalid
from app.settings.jobs import JobsGroup, StoreGroup, WebhooksGroup
from app.settings.live import LiveGroup
from app.settings.load import Settings, load_settings, setting_names
from app.settings.log import LogGroup
from app.settings.metrics import MetricsGroup
from app.settings.server import LimitsGroup, ServerGroup
from app.settings.traces import TracesGroup

__all__ = [
    "AccessGroup",
    "EngineGroup",
    "Group",
    "JobsGroup",
    "LimitsGroup",
    "LiveGroup",
    "LogGroup",
    "MetricsGroup",
    "ServerGroup",
    "Settings",
    "SettingsInvalid",
    "StoreGroup",
    "TracesGroup",
    "WebhooksGroup",
    "load_settings",
    "setting_names",
]
