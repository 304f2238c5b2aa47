-- edge_outcome(state, cause_id, output, soft, condition): what a finished parent means to a child: ok, failed, or
-- skipped. A condition that does not hold skips; a soft edge makes everything else ok. A parent that was
-- skipped because of a failure counts as failed: failures are not laundered on their way down. No output can make it
-- raise: the operator @@ would, for times with and without a zone. Internal, inlined.
create function edge_outcome(state text, cause_id bigint, output jsonb, soft boolean, condition jsonpath)
returns text
language sql stable
as $$
    select case
        when state = 'completed' and condition is not null and not coalesce(jsonb_path_match_tz(output, condition, '{}', true), false) then 'skipped'
        when state = 'completed' or soft then 'ok'
        when state = 'skipped' and cause_id is null then 'skipped'
        else 'failed'
    end
$$;
comment on function edge_outcome is 'What a finished parent means to a child.';
