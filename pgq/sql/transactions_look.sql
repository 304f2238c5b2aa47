-- transactions_look(at_least): which transactions have ended in the snapshot of the statement that calls it: those below xid that are not
-- among open; xid is above at_least. Open is the own one, too, which PostgreSQL leaves out, and all from the snapshot's xmax on: they may
-- have begun. (Numbers of subtransactions among these do no harm: no event has one.) Internal, inlined.
create function transactions_look(at_least xid8) returns table (xid xid8, open xid8[])
language sql stable
as $$
    select b.border,
           array(select x from pg_snapshot_xip(s) x
                 union
                 select own from pg_current_xact_id_if_assigned() own where own < b.border
                 union
                 select n::text::xid8 from generate_series(pg_snapshot_xmax(s)::text::bigint, b.border::text::bigint - 1) n)
    from pg_current_snapshot() s
    cross join lateral (select greatest(pg_snapshot_xmax(s), (at_least::text::bigint + 1)::text::xid8) as border) b
$$;
comment on function transactions_look is 'Which transactions have ended.';
