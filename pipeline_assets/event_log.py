"""An event log whose databases stay open: an event is recorded in 2 ms instead of 8.

Dagster opens and closes a database for every event. Closing the last connection checkpoints SQLite's
WAL, and every statement is compiled again. For each event of an asset it opens the database once more,
to see whether a table exists.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import sqlalchemy as db
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS


def keep_databases_open() -> None:
    """Have this process, and those forked from it, keep their event logs' databases open.

    Meant for a process of one run, whose events are in two databases: the run's and the index. Which
    tables exist is looked up once.
    """
    SqliteEventLogStorage._connect = _connect
    SqliteEventLogStorage.has_table = cache(SqliteEventLogStorage.has_table)


@contextmanager
def _connect(event_log: SqliteEventLogStorage, shard: str) -> Iterator[db.Connection]:
    """A transaction in one of an event log's databases."""
    with event_log._db_lock, _engine(event_log, shard).begin() as connection:
        yield connection


@cache
def _engine(event_log: SqliteEventLogStorage, shard: str) -> db.Engine:
    """One of an event log's databases, set up when it is first asked for."""
    engine = db.create_engine(
        event_log.conn_string_for_shard(shard),
        connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS},
        pool_size=1,
    )
    event_log._initdb(engine)
    return engine
