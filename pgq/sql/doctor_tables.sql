-- doctor_tables(dead_rows, bloat_bytes, sequence_share): tables that are not vacuumed in time or larger than what is in
-- them, indexes that are invalid, sequences that are behind or near their end, numbers near theirs. Internal: doctor.
create function doctor_tables(dead_rows bigint, bloat_bytes bigint, sequence_share double precision)
returns table (finding text, severity text, subject text, meaning text, repair text)
language sql stable
as $$
    with t as (
        select c.oid, c.relname::text as name, format('%I.%I', n.nspname, c.relname) as full_name, c.reloptions,
               pg_total_relation_size(c.oid) as bytes, pg_stat_get_live_tuples(c.oid) as live, pg_stat_get_dead_tuples(c.oid) as dead,
               greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) as vacuumed_at
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = current_schema() and c.relkind = 'r'
    ), q as (
        select s.seqrelid::regclass::text as name, s.seqmax, coalesce(pg_sequence_last_value(s.seqrelid), 0) as at, format('%I.%I', n.nspname, c.relname) as full_name
        from pg_sequence s
        join pg_class c on c.oid = s.seqrelid
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = current_schema()
    ), ids (sequence, id) as (
        values ('jobs_id_seq', (select max(id) from jobs)), ('events_id_seq', (select max(id) from events)), ('logs_id_seq', (select max(id) from logs)),
               ('workers_id_seq', (select max(id) from workers)), ('subscribers_id_seq', (select max(id) from subscribers)),
               ('producers_id_seq', (select max(id) from producers))
    ), m as (
        select q.*, ids.sequence, ids.id from q join ids on q.name in (ids.sequence, format('%I.%I', current_schema(), ids.sequence))
    )
    select 'dead_rows', 'warning', name,
           format('%s dead rows beside %s live ones, vacuumed last %s: autovacuum does not keep up, or somebody keeps it from removing them.',
                  dead, live, coalesce(to_char(vacuumed_at, 'YYYY-MM-DD HH24:MI:SS TZ'), 'never')),
           format('vacuum (analyze, verbose) %s; and look for long transactions', full_name)
    from t where dead > dead_rows and dead > live / 5
    union all
    select 'bloat', 'warning', name,
           format('It takes %s for %s rows: it was much larger once, or was not vacuumed in time.', pg_size_pretty(bytes), live),
           format('vacuum full %s; which locks it meanwhile (stop the workers), or pg_repack', full_name)
    from t
    where name in ('ready', 'scheduled', 'running', 'waiting', 'frontier', 'edges', 'expiries', 'workers', 'progress', 'subscribers', 'chores')
      and bytes > bloat_bytes and bytes / (live + 1) > 2000
    union all
    select 'autovacuum_off', 'critical', name, 'Autovacuum is turned off for this table: dead rows are never removed.',
           format('alter table %s reset (autovacuum_enabled);', full_name)
    from t where exists (select from unnest(reloptions) o where o ~ '^autovacuum_enabled=(false|off|no|0|f|n)')
    union all
    select 'invalid_index', 'critical', x.relname,
           format('The index on %s is not valid: it is written but not used, or does not hold everything; it was left by a failed create or reindex.', t.name),
           format('reindex index concurrently %I.%I;', current_schema(), x.relname)
    from t
    join pg_index i on i.indrelid = t.oid
    join pg_class x on x.oid = i.indexrelid
    where not (i.indisvalid and i.indisready and i.indislive)
    union all
    select 'constraint_not_valid', 'warning', x.conname, format('The constraint on %s was not checked for the rows that are there.', t.name),
           format('alter table %s validate constraint %I;', t.full_name, x.conname)
    from t join pg_constraint x on x.conrelid = t.oid
    where not x.convalidated
    union all
    select 'sequence_room', case when at > seqmax * 0.9 then 'critical' else 'warning' end, name,
           format('It is at %s, and ends at %s: then nothing more can be written.', at, seqmax),
           case when last < seqmax * sequence_share then format('somebody set it by mistake, since no id is above %s: select setval(%L, %1$s);', last, full_name)
                else 'no id is free above: carry the jobs to an installation of their own (pgq-admin export jobs, import --ids new)' end
    from m
    -- The places in queues come from the sequence of jobs, too.
    cross join lateral (select greatest(id, case when sequence = 'jobs_id_seq' then (select max(seq) from ready) end, 1) as last offset 0) l
    where at > seqmax * sequence_share
    union all
    select 'sequence_behind', 'critical', name,
           format('It is at %s, and there is an id %s: what is written next fails, or gets an id that was given out before. The tables were restored without it.', at, id),
           format('select setval(%L, %s);', full_name, id)
    from m
    where id > at
    union all
    select 'attempts_used_up', 'critical', 'job ' || r.job_id, format('It has had %s attempts; there is no number for more than 2,147,483,647.', r.attempt),
           format('select * from %I.cancel(array[%s]);', current_schema(), r.job_id)
    from (select job_id, attempt from running limit 10000) r
    where r.attempt > 2000000000
$$;
comment on function doctor_tables is 'Findings on tables, indexes and sequences.';
