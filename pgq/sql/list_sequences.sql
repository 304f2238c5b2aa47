-- list_sequences(state, after, at_most): sequences with unfinished jobs, by key, those after the given one; state, null for any: active,
-- stopped (its head failed), skipping (jobs behind a failed one are being skipped) or handing over (the next one is looked for).
-- waiting: how many are in line, counted up to 10,000. Raises PQ001 for a state that is none. Locks nothing.
-- roles: operator, reader
create function list_sequences(state text default null, after text default '', at_most integer default 1000)
returns setof sequence_states
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
    if list_sequences.state not in ('active', 'stopped', 'skipping', 'handing over') then
        perform invalid('state', 'must be active, stopped, skipping or handing over');
    elsif at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    end if;
    return query
        select v.* from sequence_states v
        where v.key > list_sequences.after and (list_sequences.state is null or v.state = list_sequences.state)
        order by v.key limit at_most;
end
$$;
comment on function list_sequences is 'Sequences with unfinished jobs, by key.';
