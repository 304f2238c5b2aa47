-- tend_breakers(): closes and opens circuit breakers by what probes came to and which attempts failed. Internal: deal and queue_room, before they
-- look for room, and do_chores.
-- A failure that was committed before this statement is counted: no job starts by a claim that begins after the last failure that it
-- takes. Nothing to do mostly, for two looks at empty indexes.
-- Locks: the advisory lock "deal", if it is free; rows of gates.
create function tend_breakers() returns void
language plpgsql
as $$
begin
    if (exists (select from strikes) or exists (select from gates g where g.opened_at is not null))
       and pg_try_advisory_xact_lock(advisory_key('deal')) then
        perform settle_probes();
        perform count_strikes();
    end if;
end
$$;
comment on function tend_breakers is 'Closes and opens circuit breakers.';
