-- skip_reason(cause_id, rule, ok, failed, skipped): why a node, map or DAG did not run or failed, in words. Internal.
create function skip_reason(cause_id bigint, rule text, ok integer, failed integer, skipped integer) returns text
language plpgsql stable
as $$
begin
    if cause_id is null then
        return format('rule %s: of its parents %s succeeded, %s failed, %s were skipped', coalesce(rule, 'all'), ok, failed, skipped);
    end if;
    return (
        select format('%s %s', coalesce(j.name, 'job ' || f.job_id), f.state)
        from results f left join jobs j on j.id = f.job_id
        where f.job_id = skip_reason.cause_id);
end
$$;
comment on function skip_reason is 'Why a node did not run, in words.';
