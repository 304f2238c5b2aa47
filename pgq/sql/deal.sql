-- deal(queue_name, wanted, kinds, worst): takes up to wanted jobs out of waiting whose turn it is: groups take turns by their weights
-- (start-time fair queueing: P. Goyal, H. Vin, H. Cheng, 1996), a group without room (limits of running and rate, pauses, of the group and of
-- the kind) loses its turn; within a group by priority, worst at the most, and seq. Only of these kinds (null: of any).
-- Returns null arrays when it is nobody's turn, or while somebody else deals. Internal: claim_turns, which leases the jobs.
-- Nobody else deals until the transaction ends: so what was counted stays so, and slots, gates and backlogs need no locks of rows.
-- A slot that a transaction frees is found by the claim that follows it, and so are failures that circuit breakers count.
-- Locks: the advisory lock "deal", if it is free; rows of waiting, skipping those that others have locked.
create function deal(queue_name text, wanted integer, kinds text[], worst smallint, out job_ids bigint[], out attempts integer[])
language plpgsql
as $$
#variable_conflict use_column
declare
    dry text[] := '{}'; -- groups that had less than was asked for
    dealt record;
begin
    if not pg_try_advisory_xact_lock(advisory_key('deal')) then
        return;
    end if;
    perform tend_breakers();
    delete from slots s
    where not exists (select from running r where r.job_id = s.job_id and r.attempt = s.attempt offset 0);
    while wanted > 0 loop
        select * into dealt from deal_round(queue_name, wanted, kinds, worst, dry);
        job_ids := job_ids || dealt.job_ids;
        attempts := attempts || dealt.attempts;
        wanted := wanted - coalesce(cardinality(dealt.job_ids), 0);
        exit when dealt.job_ids is null and dealt.dry is null;
        dry := dry || dealt.dry;
    end loop;
    -- Young rows stay: what was enqueued with them may not have been committed yet.
    delete from backlogs b
    where b.queue = queue_name and b.group_name = any(dry) and b.dealt_at < clock_timestamp() - interval '1 s'
      and not exists (
          select from waiting w
          where w.queue = b.queue and w.group_name = b.group_name and w.kind = b.kind and w.role = 'turn' offset 0);
end
$$;
comment on function deal is 'Takes jobs out of waiting whose turn it is.';
