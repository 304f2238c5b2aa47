-- gate_room(paused_until, opened_at, probe_at, probe_id, at): how many jobs the pause and the circuit breaker of a queue, kind or group let start
-- at a time; null: any number. One where a probe is to run. Internal, inlined: the arguments are columns of gates.
create function gate_room(paused_until timestamptz, opened_at timestamptz, probe_at timestamptz, probe_id bigint, at timestamptz) returns integer
language sql immutable
as $$
    select case
        when paused_until > at or probe_at > at or probe_id is not null then 0
        when opened_at is not null then 1
    end
$$;
comment on function gate_room is 'How many jobs a pause and a circuit breaker let start.';
