-- doctor_server(connections_share, notify_share): settings of the server that cost data or speed, and how much is left of what it
-- has. Settings are those of this session, which may be the database's or the role's. Internal: doctor.
create function doctor_server(connections_share double precision, notify_share double precision)
returns table (finding text, severity text, subject text, meaning text, repair text)
language sql stable
as $$
    with s as (
        select current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer as places,
               (select count(*) from pg_stat_activity where backend_type = 'client backend') as taken,
               pg_notification_queue_usage() as notify_used
    )
    select 'server_too_old', 'critical', 'PostgreSQL ' || current_setting('server_version'), 'PGQ needs PostgreSQL 15 or later.',
           'upgrade the server'
    where current_setting('server_version_num')::integer < 150000
    union all
    select 'encoding', 'warning', 'database ' || current_database(),
           format('It is in %s: characters that this does not have are refused, in names, args, results, errors. Programs in Go must set client_encoding to UTF8.', encoding),
           'take a database in UTF8: create database NAME encoding ''UTF8'' template template0; and carry the jobs over (pgq-admin export, import)'
    from current_setting('server_encoding') encoding
    where encoding <> 'UTF8'
    union all
    select 'read_only', 'critical', case when pg_is_in_recovery() then 'standby' else 'default_transaction_read_only' end,
           'Nothing can be enqueued, claimed or completed here.',
           case when pg_is_in_recovery() then 'connect to the primary: target_session_attrs=read-write in the URL'
                else 'begin read write; alter database ' || quote_ident(current_database()) || ' set default_transaction_read_only = off; commit;' end
    where pg_is_in_recovery() or current_setting('default_transaction_read_only')::boolean
    union all
    select 'fsync_off', 'critical', 'fsync', 'A crash of the server or its machine may destroy the database.',
           'alter system set fsync = on; select pg_reload_conf();'
    where not current_setting('fsync')::boolean
    union all
    select 'full_page_writes_off', 'critical', 'full_page_writes', 'A crash of the machine may destroy pages that were being written.',
           'alter system set full_page_writes = on; select pg_reload_conf();'
    where not current_setting('full_page_writes')::boolean
    union all
    select 'synchronous_commit_off', 'warning', 'synchronous_commit',
           'A crash may lose what was committed in the last moments: jobs that were enqueued are gone, and jobs that were completed run again.',
           'alter database ' || quote_ident(current_database()) || ' set synchronous_commit = on;'
    where current_setting('synchronous_commit') = 'off'
    union all
    select 'autovacuum_off', 'critical', name,
           'Dead rows are never removed: claims get slower with every job, and the tables grow without end.',
           'alter system set ' || name || ' = on; select pg_reload_conf();'
    from unnest(array['autovacuum', 'track_counts']) name
    where not current_setting(name)::boolean
    union all
    select 'isolation_level', 'warning', 'default_transaction_isolation',
           'Transactions are ' || current_setting('default_transaction_isolation') || ' by default: PGQ''s verbs are made for read committed and fail with serialization errors.',
           'alter database ' || quote_ident(current_database()) || ' set default_transaction_isolation = ''read committed'';'
    where current_setting('default_transaction_isolation') <> 'read committed'
    union all
    select 'idle_transactions_unlimited', 'info', 'idle_in_transaction_session_timeout',
           'A client that forgets to end its transaction keeps dead rows from being removed for as long as it lives.',
           'alter database ' || quote_ident(current_database()) || ' set idle_in_transaction_session_timeout = ''5min'';'
    where current_setting('idle_in_transaction_session_timeout') = '0'
    union all
    select 'short_statement_timeout', 'warning', 'statement_timeout',
           'Statements end after ' || current_setting('statement_timeout') || '; chores that have much to do are taken back again and again.',
           'alter database ' || quote_ident(current_database()) || ' set statement_timeout = ''1min'';'
    where (select setting::integer from pg_settings where name = 'statement_timeout') between 1 and 9999
    union all
    select 'jit_on', 'info', 'jit',
           'PGQ''s functions turn it off for themselves; queries of its views may be compiled for longer than they run.',
           'alter database ' || quote_ident(current_database()) || ' set jit = off;'
    where current_setting('jit')::boolean
    union all
    select 'connections_used_up', 'warning', 'max_connections',
           format('%s of %s connections are taken; workers and clients that come now or reconnect may be refused.', taken, places),
           'use a pooler, fewer connections per process, or: alter system set max_connections = ...; and restart the server'
    from s where taken >= places * connections_share
    union all
    select 'notify_queue', case when notify_used >= 0.9 then 'critical' else 'warning' end, 'NOTIFY',
           format('%s %% of the NOTIFY queue are in use: a session that listens has a transaction open. When it is full, commits that notify fail.',
                  round((notify_used * 100)::numeric, 1)),
           'select pid, usename, application_name, xact_start from pg_stat_activity where datname is not null and xact_start is not null order by xact_start limit 5; and end the oldest with pg_terminate_backend'
    from s where notify_used > 0 and notify_used >= notify_share
    union all
    select 'sessions_hidden', 'info', current_user,
           'Transactions of other roles are not seen: who keeps dead rows cannot be told.',
           format('grant pg_read_all_stats to %I;', current_user)
    where not pg_has_role(current_user, 'pg_read_all_stats', 'usage')
$$;
comment on function doctor_server is 'Findings on the settings and the room of the server.';
