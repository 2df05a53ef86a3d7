"""What PostgreSQL says of itself: activity, sizes, tables, indexes, replicas, its archive. One statement a function."""

from collections.abc import Sequence

from asyncpg import Record

from entrepot.kernel.db.doors import Read
from entrepot.kernel.db.query import Query
from entrepot.kernel.monitor.model import IndexAdvice, Replica, TableState

ACTIVITY = Query("SELECT pid, role, state, transaction_seconds, waiting_seconds, blocked_by FROM core.activity()")
DATABASE = Query("""
    SELECT pg_database_size(current_database()) AS size, xact_commit + xact_rollback AS transactions, deadlocks,
        temp_bytes, blks_hit, blks_read
    FROM pg_stat_database WHERE datname = current_database()
""")
REPLICAS = Query("SELECT name, state, sync_state, behind_bytes, lag_seconds FROM core.replication() ORDER BY name")
TABLES = Query("""
    SELECT root.oid::regclass::text AS table, sum(greatest(c.reltuples, 0))::bigint AS rows,
        sum(s.n_dead_tup)::bigint AS dead_rows,
        coalesce(sum(s.n_dead_tup) / nullif(sum(s.n_live_tup + s.n_dead_tup), 0), 0)::float8 AS dead_share,
        sum(pg_total_relation_size(c.oid))::bigint AS size, sum(pg_indexes_size(c.oid))::bigint AS index_size,
        max(greatest(s.last_vacuum, s.last_autovacuum)) AS vacuumed_at,
        max(greatest(s.last_analyze, s.last_autoanalyze)) AS analyzed_at,
        sum(s.n_mod_since_analyze)::bigint AS changed_since_analyze
    FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
    JOIN pg_class root ON root.oid = coalesce((SELECT inhparent FROM pg_inherits WHERE inhrelid = c.oid), c.oid)
    WHERE s.schemaname = ANY(:schemas::text[]) GROUP BY root.oid ORDER BY size DESC, 1
""")
# A command that hangs or is empty never fails, but then a whole segment waits. What was archived last may also be the
# note of a backup or the history of a timeline, which do not tell how far it is.
WAL = Query("""
    WITH archiver AS (
        SELECT *, last_failed_time > coalesce(last_archived_time, '-infinity') AS fails,
            last_archived_wal ~ '^[0-9A-F]{24}$' AND NOT pg_is_in_recovery() AS is_segment,
            pg_size_bytes(current_setting('wal_segment_size')) AS size
        FROM pg_stat_archiver
    )
    SELECT now() AS now, to_timestamp(system_identifier >> 32 & 4294967295) AS made_at,
        current_setting('archive_mode') <> 'off' AS is_archived_by_command,
        CASE WHEN fails THEN last_failed_wal END AS command_failed_with,
        CASE WHEN fails OR CASE WHEN is_segment THEN
                right(last_archived_wal, 16) < right(pg_walfile_name(pg_current_wal_lsn() - size), 16) END
            THEN extract(epoch FROM now() - coalesce(last_archived_time, stats_reset))::float8
            ELSE 0 END AS command_behind_seconds
    FROM archiver, pg_control_system()
""")
INVALID = """
    SELECT 'invalid' AS advice, i.indrelid::regclass::text AS table, i.indexrelid::regclass::text AS name,
        pg_relation_size(i.indexrelid) AS size,
        'it was not finished: it costs every write and serves no read' AS why,
        format('REINDEX INDEX CONCURRENTLY %s', i.indexrelid::regclass) AS mend
    FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
    WHERE NOT i.indisvalid AND t.relnamespace = ANY(:schemas::text[]::regnamespace[])
"""
MISSING = """
    SELECT 'missing' AS advice, f.conrelid::regclass::text AS table, f.conname::text AS name, 0::bigint AS size,
        format('%s refers to %s, and no index begins with its columns', f.conname, f.confrelid::regclass) AS why,
        format('CREATE INDEX CONCURRENTLY ON %s (%s)', f.conrelid::regclass, (SELECT string_agg(quote_ident(attname),
            ', ' ORDER BY array_position(f.conkey, attnum)) FROM pg_attribute
            WHERE attrelid = f.conrelid AND attnum = ANY(f.conkey))) AS mend
    FROM pg_constraint f WHERE f.contype = 'f' AND f.connamespace = ANY(:schemas::text[]::regnamespace[])
        AND f.conparentid = 0 AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = f.conrelid AND i.indisvalid
            AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) = (SELECT format('(%I IS NOT NULL)', attname)
                FROM pg_attribute WHERE attrelid = f.conrelid AND attnum = f.conkey[1]))
            AND (i.indkey::int2[])[0:cardinality(f.conkey) - 1] @> f.conkey)
"""
DUPLICATE = """
    SELECT 'duplicate' AS advice, a.indrelid::regclass::text AS table, a.indexrelid::regclass::text AS name,
        pg_relation_size(a.indexrelid) AS size, format('the same as %s', b.indexrelid::regclass) AS why,
        format('DROP INDEX CONCURRENTLY %s', a.indexrelid::regclass) AS mend
    FROM pg_index a JOIN pg_index b ON b.indrelid = a.indrelid AND b.indexrelid <> a.indexrelid
        AND (b.indkey, b.indclass, b.indoption, b.indcollation) = (a.indkey, a.indclass, a.indoption, a.indcollation)
        AND coalesce(pg_get_expr(b.indexprs, b.indrelid), '') = coalesce(pg_get_expr(a.indexprs, a.indrelid), '')
        AND coalesce(pg_get_expr(b.indpred, b.indrelid), '') = coalesce(pg_get_expr(a.indpred, a.indrelid), '')
        AND b.indisvalid AND b.indnkeyatts = a.indnkeyatts
    JOIN pg_class t ON t.oid = a.indrelid
    JOIN pg_class x ON x.oid = a.indexrelid JOIN pg_class y ON y.oid = b.indexrelid AND y.relam = x.relam
    WHERE NOT a.indisprimary AND a.indisvalid AND t.relnamespace = ANY(:schemas::text[]::regnamespace[])
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = a.indexrelid)
        AND (NOT a.indisunique OR b.indisunique)
        AND ((b.indisunique AND NOT a.indisunique) OR b.indexrelid < a.indexrelid
            OR EXISTS (SELECT FROM pg_constraint WHERE conindid = b.indexrelid))
"""
UNUSED = """
    SELECT 'unused' AS advice, s.relid::regclass::text AS table, s.indexrelid::regclass::text AS name,
        pg_relation_size(s.indexrelid) AS size,
        format('never read since %s', coalesce(d.stats_reset::date::text, 'the database began')) AS why,
        format('DROP INDEX CONCURRENTLY %s', s.indexrelid::regclass) AS mend
    FROM pg_stat_user_indexes s JOIN pg_index i ON i.indexrelid = s.indexrelid
    JOIN pg_stat_database d ON d.datname = current_database()
    WHERE s.idx_scan = 0 AND NOT i.indisunique AND i.indisvalid AND pg_relation_size(s.indexrelid) > 1048576
        AND s.schemaname = ANY(:schemas::text[])
        AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = s.indexrelid)
"""
ADVICE = Query(f"{INVALID} UNION ALL {MISSING} UNION ALL {DUPLICATE} UNION ALL {UNUSED}")
GRAVITY = ("invalid", "missing", "duplicate", "unused")


async def activity(db: Read) -> list[Record]:
    """Every session of this database."""
    return await db.rows(ACTIVITY)


async def database(db: Read) -> Record:
    """Size and counters of this database."""
    (row,) = await db.rows(DATABASE)
    return row


async def replicas(db: Read) -> list[Replica]:
    """Every server that follows this one."""
    return await db.all(Replica, REPLICAS)


async def wal(db: Read) -> Record:
    """How the server's own archive of the WAL stands, the moment, and the one at which this server was made."""
    (row,) = await db.rows(WAL)
    return row


async def tables(db: Read, schemas: Sequence[str]) -> list[TableState]:
    """Every table, the largest first; partitions under their table."""
    return await db.all(TableState, TABLES, schemas=list(schemas))


async def advice(db: Read, schemas: Sequence[str]) -> list[IndexAdvice]:
    """What to do about indexes, the gravest first."""
    found = await db.all(IndexAdvice, ADVICE, schemas=list(schemas))
    return sorted(found, key=lambda each: (GRAVITY.index(each.advice), -each.size, each.name))
