-- check_jobs_json(jobs): raises PQ001 for the first job of a JSON array that breaks a rule, naming its
-- index and field; PQ002 when the array does not fit into one of its queues. Internal.
create function check_jobs_json(jobs jsonb) returns void
language plpgsql stable
as $$
declare
    bad record;
    target record;
begin
    if jsonb_typeof(jobs) is distinct from 'array' then
        perform invalid('jobs', 'must be a JSON array');
    end if;
    select e.ordinality - 1 as index, jsonb_typeof(e.value) as type, unknown.key into bad
    from jsonb_array_elements(jobs) with ordinality e
    left join lateral (
        select key from jsonb_object_keys(case jsonb_typeof(e.value) when 'object' then e.value else '{}' end) key
        where key not in ('kind', 'args', 'queue', 'priority', 'delay', 'run_at', 'max_attempts', 'timeout', 'backoff',
                          'tags', 'metadata', 'ttl', 'result_ttl', 'codec', 'payload', 'unique', 'group', 'sequence', 'on_failure', 'callbacks')
        limit 1) unknown on true
    where jsonb_typeof(e.value) <> 'object' or unknown.key is not null
    order by 1 limit 1;
    if found then
        perform invalid(format('jobs[%s]', bad.index), case bad.type
            when 'object' then format('has an unknown field %s', to_json(bad.key))
            else 'must be a JSON object' end);
    end if;
    begin
        select j.index, p.problem into bad
        from jobs_from_json(jobs) j,
             job_problem(j.kind, j.queue, j.priority, j.delay, j.run_at, j.max_attempts, j.timeout, j.backoff, j.tags,
                         j.metadata, j.ttl, j.result_ttl, j.codec, j.payload, j.args) p(problem)
        where p.problem is not null
        order by j.index limit 1;
    exception when data_exception then
        perform check_json_types(jobs);
        raise;
    end;
    if bad.problem is not null then
        perform invalid(format('jobs[%s].%s', bad.index, bad.problem[1]), bad.problem[2]);
    end if;
    if jsonb_path_exists(jobs, '$[*].callbacks') then
        perform check_callbacks(jobs);
    end if;
    if jsonb_path_exists(jobs, '$[*] ? (exists(@.group) || exists(@.sequence) || exists(@.on_failure))') then
        select j.index, p.problem into bad
        from jobs_from_json(jobs) j,
             coalesce(group_problem(j.group_name), sequence_problem(j.sequence, j.on_failure, j.uniqueness)) p(problem)
        where p.problem is not null
        order by j.index limit 1;
        if found then
            perform invalid(format('jobs[%s].%s', bad.index, bad.problem[1]), bad.problem[2]);
        end if;
    end if;
    if jsonb_path_exists(jobs, '$[*].unique') then
        -- Each sort once: they mostly differ in nothing but the key.
        with sorts as materialized (
            select min(j.index) as index, s.spec
            from jobs_from_json(jobs) j
            cross join lateral (
                select case when jsonb_typeof(j.uniqueness -> 'key') = 'string' and length(j.uniqueness ->> 'key') between 1 and 450
                            then jsonb_set(j.uniqueness, '{key}', '"k"') else j.uniqueness end as spec) s
            where j.uniqueness is not null
            group by s.spec
        )
        select s.index, p.problem into bad
        from sorts s
        cross join lateral (select unique_problem(s.spec) as problem offset 0) p
        where p.problem is not null
        order by s.index limit 1;
        if found then
            perform invalid(format('jobs[%s].%s', bad.index, bad.problem[1]), bad.problem[2]);
        end if;
        select j.index into bad from jobs_from_json(jobs) j
        where j.uniqueness -> 'by' @? '$[*] ? (@ starts with "args")' and j.codec is not null
        order by j.index limit 1;
        if found then
            perform invalid(format('jobs[%s].unique.by', bad.index), 'must not name args that a codec has encoded');
        end if;
    end if;
    -- Settings once per queue, not per job.
    with too_large as materialized (
        select q.queue, s.max_args_bytes
        from (select j.queue, max(coalesce(pg_column_size(j.args), octet_length(j.payload))) as largest from jobs_from_json(jobs) j group by j.queue) q
        cross join lateral settings_of(q.queue) s
        where q.largest > s.max_args_bytes
    )
    select j.index, t.max_args_bytes into bad
    from too_large t
    join jobs_from_json(jobs) j on j.queue = t.queue
    where coalesce(pg_column_size(j.args), octet_length(j.payload)) > t.max_args_bytes
    order by j.index limit 1;
    if found then
        perform invalid(format('jobs[%s].args', bad.index), format('must be at most %s bytes', bad.max_args_bytes));
    end if;
    for target in
        select j.queue, count(*) as adding
        from jobs_from_json(jobs) j group by j.queue order by j.queue
    loop
        perform check_depth(target.queue, target.adding, s.max_depth, s.warn_depth)
        from settings_of(target.queue) s where s.max_depth is not null;
    end loop;
end
$$;
comment on function check_jobs_json is 'Refuses a JSON array with a job that breaks a rule.';
