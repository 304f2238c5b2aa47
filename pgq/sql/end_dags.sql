-- end_dags(job_ids, ending, reason): lets DAGs, sub-DAGs and maps under way among these jobs end in this state once
-- nothing of them runs any more, whatever their nodes come to. Internal: the caller ends their members afterwards;
-- none is added meanwhile. Ones that have ended are left alone.
-- Locks: their rows of waiting in the order of their ids.
create function end_dags(job_ids bigint[], ending text, reason text) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    targets constant bigint[] := array(
        select id from unnest(job_ids) id
        union
        select m from members_of(job_ids) m join jobs j on j.id = m and j.role in ('dag', 'map'));
    cut bigint[];
begin
    perform w.job_id from waiting w where w.job_id = any(targets) order by w.job_id for no key update;
    update waiting w set ending = end_dags.ending, reason = end_dags.reason
    where w.job_id = any(targets) and w.role in ('dag', 'items') and w.ending is null;
    -- Items that do not exist yet will not.
    with shortened as (
        update maps m set total = m.expanded
        from (select job_id, total - expanded as missing from maps where job_id = any(targets)) b
        where m.job_id = b.job_id and b.missing > 0
          and exists (select from waiting w where w.job_id = m.job_id)
        returning m.job_id, b.missing
    ), counted as (
        update waiting w set pending = w.pending - s.missing
        from shortened s where w.job_id = s.job_id
        returning w.job_id, w.pending
    )
    select array_agg(job_id) filter (where pending = 0) into cut from counted;
    if cut is not null then
        perform propagate(decide(cut, array_fill('skip'::text, array[cardinality(cut)])));
    end if;
end
$$;
comment on function end_dags is 'Lets DAGs and maps under way end in a given state.';
