-- node_verdict(...): what the counters of a waiting row say against its thresholds: run, skip, or null (wait).
-- A node is decided when all its parents are done; an eager one runs as soon as it may. Only sums are looked at, so
-- the order in which parents end, and in which parts the news of it arrive, does not matter. Internal, inlined.
create function node_verdict(
    pending integer, ok integer, failed integer, skipped integer, need_ok integer, need_failed integer,
    max_failed integer, max_skipped integer, eager boolean, held boolean)
returns text
language sql immutable
as $$
    select case
        when held or not (pending = 0 or eager) then null
        when ok >= need_ok and failed >= need_failed and failed <= max_failed and skipped <= max_skipped then 'run'
        when pending = 0 then 'skip'
    end
$$;
comment on function node_verdict is 'What the counters of a waiting job say: run, skip, or null.';
