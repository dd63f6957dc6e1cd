"""The SQL store: one SQLite file, or PostgreSQL by URL. Connections, transactions, errors and migrations; no tables.

Which tables there are is said by `app/jobs/tables.py`; how they came to be, by `migrations/`.
"""

from app.store.database import Database, open_database
from app.store.migrate import check_schema, migrate

__all__ = ["Database", "check_schema", "migrate", "open_database"]
