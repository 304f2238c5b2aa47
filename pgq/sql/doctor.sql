-- doctor(...): what an operator should know of, and how to repair it: one row per finding, none when all is well.
-- severity: critical (it does not work, or data is at risk), warning (it will not go well for long), info.
-- subject: the table, queue, session ... that it is about. meaning: what is so and what that leads to. repair: SQL or a command.
-- The arguments say from when on something is worth telling; null is the default. Other sessions are only seen with the rights
-- of pg_read_all_stats, of the schema's owner. Bounded in cost, but for statistics per table; changes and locks nothing.
-- Definitions of objects are compared by pgq-admin doctor, broken invariants are found by check_invariants.
-- roles: operator
create function doctor(
    long_transaction interval default null, old_job interval default null, late_chores interval default null,
    dead_rows bigint default null, bloat_bytes bigint default null, transaction_age bigint default null, frontier_rows integer default null,
    connections_share double precision default null, notify_share double precision default null,
    sequence_share double precision default null)
returns table (finding text, severity text, subject text, meaning text, repair text)
language sql stable security definer set search_path from current
as $$
    select d.*
    from (
        select * from doctor_server(
            coalesce(within('connections_share', connections_share, double precision '0', '1'), 0.8), coalesce(within('notify_share', notify_share, double precision '0', '1'), 0.25))
        union all select * from doctor_transactions(
            coalesce(within('long_transaction', long_transaction, interval '0', interval '1000 years'), interval '10 minutes'), coalesce(transaction_age, 1000000000))
        union all select * from doctor_tables(coalesce(dead_rows, 100000), coalesce(bloat_bytes, 268435456), coalesce(within('sequence_share', sequence_share, double precision '0', '1'), 0.5))
        union all select * from doctor_work(coalesce(within('old_job', old_job, interval '0', interval '1000 years'), interval '1 hour'),
                                           coalesce(within('late_chores', late_chores, interval '0', interval '1000 years'), interval '30 seconds'), coalesce(frontier_rows, 1000))
        union all select * from doctor_events(coalesce(old_job, interval '1 hour'))
        union all select * from doctor_rights()
        union all select * from doctor_grants()) d(finding, severity, subject, meaning, repair)
    order by array_position(array['critical', 'warning', 'info'], d.severity), d.finding, d.subject
$$;
comment on function doctor is 'What an operator should know of, with what repairs it.';
