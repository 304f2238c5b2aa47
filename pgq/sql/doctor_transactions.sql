-- doctor_transactions(long_transaction, transaction_age): who keeps dead rows from being removed (sessions, prepared transactions, replication
-- slots), and how far the database is from running out of transaction ids. Internal: doctor.
create function doctor_transactions(long_transaction interval, transaction_age bigint)
returns table (finding text, severity text, subject text, meaning text, repair text)
language sql stable
as $$
    select 'long_transaction', 'warning', format('session %s', a.pid),
           format('Role %s (%s, %s) has had a transaction open for %s; rows that were deleted since then, %s transactions ago, cannot be removed, and claims get slower.',
                  coalesce(a.usename, '-'), coalesce(nullif(a.application_name, ''), 'no application_name'), coalesce(a.state, a.backend_type),
                  date_trunc('second', clock_timestamp() - a.xact_start), coalesce(age(coalesce(a.backend_xmin, a.backend_xid)), 0)),
           format('select pg_terminate_backend(%s);', a.pid)
    from pg_stat_activity a
    where a.xact_start < clock_timestamp() - long_transaction
      and a.pid <> pg_backend_pid()
      and (a.datname = current_database() or a.datname is null)
      and (a.backend_xmin is not null or a.backend_xid is not null)
      and a.backend_type <> 'autovacuum worker'
    union all
    select 'prepared_transaction', 'warning', 'transaction ' || p.gid,
           format('It was prepared %s ago by role %s and neither committed nor rolled back: its locks stay, and dead rows cannot be removed.',
                  date_trunc('second', clock_timestamp() - p.prepared), p.owner),
           format('commit prepared %L; or: rollback prepared %L;', p.gid, p.gid)
    from pg_prepared_xacts p
    where p.prepared < clock_timestamp() - long_transaction and p.database = current_database()
    union all
    select 'replication_slot', 'warning', 'slot ' || r.slot_name,
           format('Nobody reads from this %s slot: the server keeps all WAL since, until its disk is full%s.', r.slot_type,
                  coalesce(', and dead rows since ' || greatest(age(r.xmin), age(r.catalog_xmin)) || ' transactions ago', '')),
           format('start its reader, or: select pg_drop_replication_slot(%L);', r.slot_name)
    from pg_replication_slots r
    where not r.active and (r.restart_lsn is not null or r.xmin is not null or r.catalog_xmin is not null)
    union all
    select 'standby_holds_rows', 'warning', 'slot ' || r.slot_name,
           format('A standby with hot_standby_feedback runs a query that keeps dead rows since %s transactions ago.', age(r.xmin)),
           'end the oldest query on the standby'
    from pg_replication_slots r
    where r.active and age(r.xmin) > 1000000
    union all
    select 'transaction_ids', case when age(d.datfrozenxid) > 1800000000 then 'critical' else 'warning' end, 'database ' || d.datname,
           format('Its oldest rows are %s transactions old, and at 2,100 million PostgreSQL refuses to write: vacuum does not keep up, or somebody holds it off.',
                  age(d.datfrozenxid)),
           'vacuum (freeze); as superuser, after the transactions and slots told of above have been ended'
    from pg_database d
    where d.datname = current_database() and age(d.datfrozenxid) > transaction_age
$$;
comment on function doctor_transactions is 'Findings on who keeps dead rows from being removed.';
