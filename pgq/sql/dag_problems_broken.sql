-- dag_problems_broken(sets, types): the first rule that each set of options breaks, by itself; the sets may be null.
-- Raises a data exception when a field cannot be read. Internal: dag_problems_values.
-- The options that nodes share with other jobs are left to job_problem. Nodes that no handler runs have no kind.
create function dag_problems_broken(sets jsonb[], types text[]) returns table (index bigint, field text, rule text)
language sql stable
as $$
    select s.index, b.problem[1], b.problem[2]
    from unnest(sets, types) with ordinality s(options, type, index)
    cross join lateral jsonb_to_record(s.options) o(
        kind text, queue text, priority integer, delay interval, max_attempts integer, timeout interval, backoff jsonb,
        tags text[], metadata jsonb, ttl interval, result_ttl interval, codec text, payload text, args jsonb,
        rule text, at_least integer, "default" jsonb, over text, path text, "as" text, "window" integer, tolerate numeric,
        on_failure text, key text, "group" text, callbacks jsonb)
    cross join lateral (select case
        when s.type is null then array['type', 'must be job, dag, external, sleep or map']
        when o.rule not in ('all', 'any', 'at_least', 'done', 'none_failed', 'join', 'one_failed', 'all_failed', 'none_skipped')
            then array['rule', 'must be all, any, at_least, done, none_failed, join, one_failed, all_failed or none_skipped']
        when o.rule = 'at_least' and o.at_least is null then array['at_least', 'must be given with the rule at_least']
        when o.at_least is not null and o.rule is distinct from 'at_least' then array['at_least', 'must be given with the rule at_least only']
        when o.at_least < 1 then array['at_least', 'must be at least 1']
        when s.type = 'sleep' and o.delay is null then array['delay', 'must be given']
        when nullif(o.default, 'null') is not null and o.timeout is null then array['default', 'must not be given without a timeout']
        when s.type = 'map' and o.over is null then array['over', 'must be given']
        when o.path is not null and dag_problems_path(o.path, false) is not null then array['path', dag_problems_path(o.path, false)]
        when o."window" < 1 then array['window', 'must be at least 1']
        when o.tolerate not between 0 and 100 then array['tolerate', 'must be 0 to 100']
        when s.type = 'map' and nullif(o.args, 'null') is not null and o."as" is null
            then array['args', 'must not be given without as: the items are the args']
        when s.type = 'map' and nullif(o.args, 'null') is not null and jsonb_typeof(o.args) <> 'object'
            then array['args', 'must be a JSON object, to which as adds the items']
        when o.on_failure not in ('continue', 'cancel') then array['on_failure', 'must be continue or cancel']
        when length(o.key) not between 1 and 500 then array['key', 'must have 1 to 500 characters']
        when group_problem(o."group") is not null then group_problem(o."group")
        else coalesce(job_problem(
            case when s.type in ('job', 'map', 'document') then o.kind else '-' end, coalesce(o.queue, 'default'),
            coalesce(o.priority, 5), o.delay, null, o.max_attempts, o.timeout, nullif(o.backoff, 'null'), o.tags,
            nullif(o.metadata, 'null'), o.ttl, o.result_ttl, o.codec, case when o.payload is not null then ''::bytea end,
            nullif(o.args, 'null')), callbacks_problem(nullif(o.callbacks, 'null')))
        end as problem offset 0) b
    where s.options is not null and b.problem is not null
$$;
comment on function dag_problems_broken is 'First rule that each set of options breaks.';
