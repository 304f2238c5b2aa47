-- pin(job_ids): keeps jobs where they are until the transaction ends: those that are finished stay so, and the others do
-- not finish. Whoever makes a job a parent does it first: else the job might finish unseen in between, and
-- the child would wait for ever. Returns the jobs that do not exist. Internal.
-- Locks, shared: rows of waiting, ready, running, scheduled and results, each by job; what moved meanwhile is looked
-- for again; then what pin_frontier locks.
create function pin(job_ids bigint[]) returns setof bigint
language plpgsql
as $$
#variable_conflict use_column
declare
    pinned bigint[] := '{}';
    loose bigint[] := array(select distinct id from unnest(job_ids) id where id is not null);
    gone bigint[];
begin
    for round in 1 .. 100 loop
        pinned := array(select w.job_id from waiting w where w.job_id = any(loose) order by w.job_id for share);
        pinned := pinned || array(select pin_ready(loose));
        pinned := pinned || array(select r.job_id from running r where r.job_id = any(loose) order by r.job_id for share);
        pinned := pinned || array(select s.job_id from scheduled s where s.job_id = any(loose) order by s.job_id for share);
        pinned := pinned || array(select f.job_id from results f where f.job_id = any(loose) order by f.job_id for share);
        loose := array(select id from unnest(loose) id except select id from unnest(pinned) id);
        if loose = '{}' then
            perform pin_frontier(job_ids);
            return;
        end if;
        gone := array(select id from unnest(loose) id where id not in (select j.id from jobs j where j.id = any(loose)));
        if cardinality(gone) = cardinality(loose) then
            perform pin_frontier(job_ids);
            return query select id from unnest(gone) id;
            return;
        end if;
    end loop;
    perform too_busy(loose);
end
$$;
comment on function pin is 'Keeps jobs where they are until the transaction ends.';
