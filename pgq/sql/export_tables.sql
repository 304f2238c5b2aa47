-- export_tables(): the tables whose rows belong to one job each and are found by it: results, running, logs ... and those of
-- features to come. Not ready, whose rows are runs, nor slots, which end with attempts, nor events, which are exported on their own. columns: what is written of
-- a row; json_columns: those that are jsonb, in which SQL's null and JSON's are not the same. Internal: export_jobs, import_jobs.
create function export_tables() returns table (name text, columns text[], json_columns text[])
language sql stable
as $$
    select c.relname::text, a.names, a.json_names
    from pg_class c
    cross join lateral (
        select array_agg(a.attname::text order by a.attnum) as names,
               coalesce(array_agg(a.attname::text order by a.attnum) filter (where a.atttypid = 'jsonb'::regtype), '{}') as json_names
        from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) a
    where c.relnamespace = (select oid from pg_namespace where nspname = current_schema())
      and c.relkind = 'r'
      and (c.relname = 'jobs'
           or c.relname not in ('ready', 'slots', 'events')
              and exists (
                  select from pg_index i
                  join pg_class x on x.oid = i.indexrelid
                  join pg_am m on m.oid = x.relam and m.amname = 'btree'
                  join pg_attribute k on k.attrelid = c.oid and k.attnum = i.indkey[0] and k.attname = 'job_id'
                  where i.indrelid = c.oid and i.indpred is null))
    order by c.relname
$$;
comment on function export_tables is 'Tables whose rows belong to one job each.';
