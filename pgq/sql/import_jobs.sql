-- import_jobs(lines, keep_ids): inserts jobs with all that belongs to them as export_jobs wrote them, in whatever state they were; a
-- job that was running becomes ready again, and that attempt does not count. Returns how many. With keep_ids they have
-- the ids that they had: call import_reserve first, in a transaction of its own. Without, they get new ones; what belongs to a
-- DAG or waits for other jobs is refused then (PQ001).
-- Unique keys stand for the jobs that they stood for.
-- SQLSTATE 23505: there is such a job or DAG already, or a unique key stands for another job. Nothing is ever overwritten. After the last call: import_finish.
-- roles: owner
create function import_jobs(lines jsonb[], keep_ids boolean) returns integer
language plpgsql security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set timezone = 'UTC' set intervalstyle = 'iso_8601' set datestyle = 'ISO'
as $$
declare
    wrong text;
    taken bigint;
    name text;
    rows jsonb;
begin
    select coalesce(l->>'type', 'null') into wrong from unnest(lines) l where l->>'type' is distinct from 'job' or jsonb_typeof(l->'job') is distinct from 'object' limit 1;
    if found then
        perform invalid('lines', format('must be of type job with an object "job", not %s', wrong));
    end if;
    select k into wrong from unnest(lines) l, jsonb_object_keys(l) k
    where k not in ('type', 'state', 'attempt', 'job', 'rows', 'edges', 'frontier', 'dag_key', 'unique') limit 1;
    if found then
        perform invalid('lines', format('must not have %s, which is not known here: they are from another version', wrong));
    end if;
    -- As in a job that is somewhere, and in one place only.
    select l->'job'->>'id' into wrong from unnest(lines) l
    where array(select k from jsonb_object_keys(l->'rows') k where k in ('results', 'running', 'scheduled', 'waiting'))
          is distinct from case when l->>'state' = 'ready' then array[]::text[]
                                when l->>'state' in ('running', 'scheduled', 'waiting') then array[l->>'state']
                                when l->>'state' = l->'rows'->'results'->0->>'state' then array['results'] end
    limit 1;
    if found then
        perform invalid('lines', format('must say the same of a job in "state" and "rows"; those of job %s do not', wrong));
    end if;
    if keep_ids then
        select j.id into taken from jobs j where j.id = any(array(select (l->'job'->>'id')::bigint from unnest(lines) l)) order by j.id limit 1;
        if found then
            raise exception 'job % is there already', taken using errcode = 'unique_violation';
        end if;
    else
        if exists (select from unnest(lines) l where l ?| array['edges', 'frontier', 'dag_key'] or l->'rows'->'waiting'->0->>'role' is distinct from 'turn' and l->'rows' ? 'waiting' or l->'job'->>'dag_id' is not null or l->'job'->>'role' is not null) then
            perform invalid('keep_ids', 'must be true for DAGs, their nodes, and jobs that wait for others');
        end if;
        lines := array(
            select l || jsonb_build_object('job', l->'job' || jsonb_build_object('id', n.id), 'rows', coalesce((
                       select jsonb_object_agg(t.key, (select jsonb_agg(r || jsonb_build_object('job_id', n.id)) from jsonb_array_elements(t.value) r))
                       from jsonb_each(l->'rows') t), '{}'))
            from (select u.l, u.n, nextval('jobs_id_seq') as id from unnest(lines) with ordinality u(l, n) order by u.n) n
            order by n.n);
    end if;
    -- The role that enqueued it is a number of the server that it was exported from.
    perform import_insert('jobs', (select jsonb_agg((l->'job') - 'enqueued_by'::text) from unnest(lines) l));
    for name, rows in
        select t.key, jsonb_agg(r) from unnest(lines) l, jsonb_each(l->'rows') t, jsonb_array_elements(t.value) r where t.key <> 'running' group by t.key
    loop
        perform import_insert(name, rows);
    end loop;
    with places as (
        select j.id, j.queue, j.priority, j.kind,
               case l->>'state' when 'running' then greatest((l->>'attempt')::integer - 1, 0) else (l->>'attempt')::integer end as attempt
        from unnest(lines) l, jsonb_populate_record(null::jobs, l->'job') j
        where l->>'state' in ('ready', 'running')
    )
    insert into ready (queue, priority, seq, job_id, attempt, kind)
    select p.queue, p.priority,
           case when p.attempt > 0 or exists (select from ready r where (r.queue, r.priority, r.seq) = (p.queue, p.priority, p.id) offset 0) then nextval('jobs_id_seq') else p.id end,
           p.id, p.attempt, p.kind
    from (select * from places order by id) p;
    insert into expiries (expires_at, job_id)
    select j.expires_at, j.id
    from unnest(lines) l, jsonb_populate_record(null::jobs, l->'job') j
    where j.expires_at is not null and l->>'state' in ('ready', 'scheduled', 'waiting') and ((l->>'attempt')::integer = 0 or j.role = 'dag');
    insert into edges select p.* from unnest(lines) l, jsonb_array_elements(l->'edges') e,
        jsonb_populate_record(null::edges, e || jsonb_build_object('child_id', l->'job'->'id')) p;
    insert into frontier select p.* from unnest(lines) l, jsonb_array_elements(l->'frontier') u,
        jsonb_populate_record(null::frontier, u || jsonb_build_object('parent_id', l->'job'->'id')) p;
    insert into dag_keys (kind, key, dag_id)
    select l->'job'->>'kind', l->>'dag_key', (l->'job'->>'id')::bigint from unnest(lines) l where l ? 'dag_key';
    with keys as (
        insert into unique_keys (key, job_id, taken_at, holds_until)
        select l->'job'->>'unique_key', (l->'job'->>'id')::bigint, (l->'unique'->>'taken_at')::timestamptz, (l->'unique'->>'holds_until')::timestamptz
        from unnest(lines) l where l ? 'unique'
        order by (l->'job'->>'unique_key') collate "C"
        on conflict do nothing
        returning job_id
    )
    select l->'job'->>'unique_key' into wrong from unnest(lines) l
    where l ? 'unique' and (l->'job'->>'id')::bigint <> all(array(select job_id from keys)) limit 1;
    if found then
        raise exception 'the unique key % stands for another job already', to_json(wrong) using errcode = 'unique_violation';
    end if;
    return cardinality(lines);
end
$$;
comment on function import_jobs is 'Inserts jobs as export_jobs wrote them.';
