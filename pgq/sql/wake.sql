-- wake(queue_names): wakes the workers that sleep on these queues, once the transaction commits.
-- A sleeping worker holds the advisory locks of the queue's sleep_gate, shared, on its LISTEN connection. Nobody
-- holds the one that is tried: nobody sleeps, and no NOTIFY is sent, since NOTIFY makes commits wait for each other.
-- A transaction that looks before a worker falls asleep and commits afterwards is found by that
-- worker's re-checks (worker/wake.go).
create function wake(queue_names text[]) returns void
language plpgsql
as $$
declare
    name text;
    gate bigint;
    free boolean;
begin
    foreach name in array queue_names loop
        gate := advisory_key('sleep/' || name) + pg_backend_pid() % 16;
        free := pg_try_advisory_lock(gate);
        if free then
            free := pg_advisory_unlock(gate); -- an assignment is quicker than perform
        else
            perform pg_notify(channel(), 'wake ' || name);
        end if;
    end loop;
end
$$;
comment on function wake is 'Wakes workers that sleep on these queues.';
