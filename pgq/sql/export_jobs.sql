-- export_jobs(after, at_most, filter): all facts of jobs with ids above after, in the order of their ids, as one JSON object per job that
-- import_jobs takes: {"type": "job", "state": ..., "attempt": ..., "job": {a row of jobs}, "rows": {"results": [{...}], "logs": [{...}]}, ...}.
-- filter: which of them, as in select_jobs, but for its "after". Fewer than at_most rows: the end.
-- To get a state of affairs that fits together call it in one REPEATABLE READ transaction. Locks nothing.
-- Raises PQ001 naming the field that is not known or cannot be read.
-- roles: operator, payloads
create function export_jobs(after bigint default 0, at_most integer default 1000, filter jsonb default '{}')
returns table (id bigint, line jsonb)
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set timezone = 'UTC' set intervalstyle = 'iso_8601' set datestyle = 'ISO'
as $$
#variable_conflict use_column
declare
    -- Adds to a row which of its JSON values are null, which in to_jsonb look like SQL's.
    with_nulls constant text := 'to_jsonb(%1$s) || case when array_position(array[%2$s]::text[], ''null'') is null then ''{}'' '
        || 'else jsonb_build_object(''nulls'', (select jsonb_agg(c) from unnest(array[%2$s]::text[], %3$L::text[]) u(t, c) where t = ''null'')) end';
    rows_of text;
    job text;
    ids bigint[] := '{}';
    found bigint[];
begin
    loop
        filter := filter || jsonb_build_object('after', after);
        select s.job_ids, s.next into found, after from select_jobs(filter, at_most - cardinality(ids)) s;
        ids := ids || found;
        exit when after is null or cardinality(ids) >= at_most;
    end loop;
    select string_agg(format('|| coalesce((select jsonb_build_object(%L, jsonb_agg(%s)) from %I x where x.job_id = j.id having count(*) > 0), ''{}'')',
               t.name, format(with_nulls, 'x', nulls.kinds, t.json_columns), t.name), ' ' order by t.name) filter (where t.name <> 'jobs'),
           max(format(with_nulls, 'j', replace(nulls.kinds, 'x.', 'j.'), t.json_columns)) filter (where t.name = 'jobs')
    into rows_of, job
    from export_tables() t
    cross join lateral (select coalesce(string_agg(format('jsonb_typeof(x.%I)', c), ', '), '') as kinds from unnest(t.json_columns) c) nulls;
    return query execute format($query$
        select j.id,
               jsonb_build_object('type', 'job', 'state', s.state, 'attempt', s.attempt, 'job', %s, 'rows', '{}'::jsonb %s)
               || coalesce((select jsonb_build_object('edges', jsonb_agg(to_jsonb(e) - 'child_id' order by e.parent_id)) from edges e where e.child_id = j.id having count(*) > 0), '{}')
               || coalesce((select jsonb_build_object('frontier', jsonb_agg(to_jsonb(u) - 'parent_id' order by u.first_child)) from frontier u where u.parent_id = j.id having count(*) > 0), '{}')
               || coalesce((select jsonb_build_object('unique', jsonb_build_object('taken_at', u.taken_at, 'holds_until', u.holds_until))
                            from unique_keys u where u.key = j.unique_key and u.job_id = j.id), '{}')
               || coalesce((select jsonb_build_object('dag_key', d.key) from dag_keys d where d.dag_id = j.id limit 1), '{}')
        from unnest($1) i(id)
        cross join lateral (select * from jobs where jobs.id = i.id offset 0) j
        cross join lateral (select s.state, s.attempt from job_states s where s.id = j.id offset 0) s
        order by j.id
        $query$, job, rows_of)
    using ids;
end
$$;
comment on function export_jobs is 'All facts of jobs, as import_jobs takes them.';
