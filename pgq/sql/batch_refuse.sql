-- batch_refuse(field, detail, first): raises PQ001 for what dag_submit or dag_extend have refused, named as in the spec of a batch or the jobs that were to
-- be added: field and detail are the COLUMN and DETAIL of their error, first is the number of the first job. Internal: batch_submit and batch_add.
create function batch_refuse(field text, detail text, first bigint) returns void
language plpgsql
as $$
declare
    problem constant jsonb := case when field = 'dag' then detail::jsonb -> 0 end;
    node constant text := problem ->> 'node';
begin
    if field = 'after' or problem ->> 'field' = 'after' then -- jobs of a batch come after other batches only
        perform invalid('jobs', 'must not have a batch that is this one, or that waits for it');
    elsif problem is null then
        perform invalid(field, detail);
    end if;
    perform invalid(
        case when node like 'jobs/%' then format('jobs[%s].', substr(node, 6)::bigint - first) else coalesce(node || '.', '') end
        || (problem ->> 'field'), problem ->> 'rule');
end
$$;
comment on function batch_refuse is 'Refuses a batch as its caller knows it.';
