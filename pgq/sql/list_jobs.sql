-- list_jobs(…): ids of jobs, newest first, that fit all filters given (null: any), below the cursor before_id.
-- states: as in job_states. args and metadata: contained in the job's. error: part of the error text.
-- One state at a time is read from the small table of that state; several, or none, from jobs.
create function list_jobs(
    queues text[] default null, kinds text[] default null, states text[] default null,
    all_tags text[] default null, since timestamptz default null, until timestamptz default null,
    args jsonb default null, metadata jsonb default null, error text default null,
    before_id bigint default null, at_most integer default 100)
returns setof bigint
language plpgsql stable set search_path from current
set plan_cache_mode = force_custom_plan set jit = off set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
    below constant bigint := coalesce(before_id, 9223372036854775807);
    source constant text := case
        when cardinality(states) is distinct from 1 then 'jobs'
        when states[1] = 'ready' and (select count(*) from (select from ready limit 100001) r) > 100000 then 'jobs'
        when states[1] in ('waiting', 'scheduled', 'running', 'ready') then states[1]
        when states[1] in ('completed', 'failed', 'cancelled', 'skipped', 'expired') then 'results'
        else 'jobs'
    end;
begin
    if exists (select from unnest(states) s where s is null or s not in ('waiting', 'scheduled', 'ready', 'running', 'completed',
                                                                       'failed', 'cancelled', 'skipped', 'expired')) then
        perform invalid('states', 'must be waiting, scheduled, ready, running, completed, failed, cancelled, skipped or expired');
    elsif at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    end if;
    return query execute format($query$
        select c.id
        from (%s) c
        join jobs j on j.id = c.id
        where c.id < $1
          and ($2 is null or j.queue = any($2))
          and ($3 is null or j.kind = any($3))
          and ($4 is null or (select s.state from job_states s where s.id = c.id) = any($4))
          and ($5 is null or j.tags @> $5)
          and ($6 is null or j.created_at >= $6)
          and ($7 is null or j.created_at < $7)
          and ($8 is null or j.args @> $8)
          and ($9 is null or j.metadata @> $9)
          and ($10 is null or exists (select from results f where f.job_id = c.id and strpos(f.error, $10) > 0))
        order by c.id desc
        limit $11
        $query$,
        case source
            when 'jobs' then 'select id from jobs'
            when 'ready' then 'select r.job_id + g as id from ready r, generate_series(0, r.size - 1) g'
            when 'results' then format('select job_id as id from results where state = %L', states[1])
            else format('select job_id as id from %I', source)
        end)
    using below, queues, kinds, case when source = 'jobs' then states end, all_tags, since, until,
          list_jobs.args, list_jobs.metadata, list_jobs.error, at_most;
end
$$;
comment on function list_jobs is 'Ids of jobs that fit filters, newest first.';
