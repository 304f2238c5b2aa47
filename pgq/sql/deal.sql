-- deal(queue_name, wanted, kinds, worst, at): takes up to wanted jobs out of waiting whose turn it is: groups take turns by their weights
-- (start-time fair queueing: P. Goyal, H. Vin, H. Cheng, 1996), a group without room (limits of running and rate, pauses, of the group and of
-- the kind) loses its turn; within a group by priority, worst at the most, and seq, or by age (take_aged) where jobs of the queue age. Only of these kinds (null: of any).
-- counted: which have slots. at: the time at which these attempts begin, for which pauses and buckets are asked; null: that at which nobody else
-- deals any more. Returns null arrays when it is nobody's turn, or while somebody else deals. Internal: claim_turns, which leases the jobs.
-- Nobody else deals until the transaction ends: so what was counted stays so, and slots and backlogs need no locks of rows (gates are also
-- written by operators' pauses, one at a time).
-- A slot that a transaction frees is found by the claim that follows it, and so are failures that circuit breakers count.
--
-- What it costs goes by what it takes, not by what waits: it looks at the groups that are first in line, and parks those for which there is no room
-- (park) so that the next one need not look at them. It looks at 200 groups more than it is to take at the most; those that it
-- has not come to are the first in line then.
-- Locks: the advisory lock "deal", if it is free; rows of waiting, skipping those that others have locked.
create function deal(
    queue_name text, wanted integer, kinds text[], worst smallint, inout at timestamptz,
    out job_ids bigint[], out attempts integer[], out counted boolean[])
language plpgsql
as $$
#variable_conflict use_column
declare
    most integer := 200 + 2 * wanted; -- groups to look at
    step integer := wanted;           -- of these in the next round
    ages constant interval := (select s.age_every from settings_of(queue_name) s);
    dealt record;
begin
    if not pg_try_advisory_xact_lock(advisory_key('deal')) then
        return;
    end if;
    at := coalesce(at, clock_timestamp());
    perform tend_breakers();
    perform unpark(queue_name, most);
    while wanted > 0 and most > 0 loop
        select * into dealt from deal_round(queue_name, wanted, kinds, worst, ages, at, least(step, most));
        exit when dealt.seen = 0;
        job_ids := job_ids || dealt.job_ids;
        attempts := attempts || dealt.attempts;
        counted := counted || dealt.counted;
        wanted := wanted - coalesce(cardinality(dealt.job_ids), 0);
        most := most - dealt.seen;
        step := greatest(wanted, 2 * dealt.seen + 10);
    end loop;
end
$$;
comment on function deal is 'Takes jobs out of waiting whose turn it is.';
