-- move_position(name, token, up_to, skipped): moves the position of a consumer behind the leased events up to an id and ends the lease;
-- false when there is no such lease. Failures are forgotten if it moves. Internal: ack_events, fail_events. Locks: the consumer's row.
create function move_position(name text, token bigint, up_to bigint, skipped integer) returns boolean
language plpgsql
as $$
declare
    c consumers;
    taken integer := 0;
begin
    select * into c from consumers x
    where x.name = move_position.name and x.token = move_position.token and x.leased_id is not null
    for update;
    if not found then
        return false;
    elsif up_to >= c.leased_id then
        taken := c.leased_count;
    elsif up_to > c.after_id then
        select count(*) into taken from unnest(read_window(c, c.leased_count)) e where e.id <= up_to;
    end if;
    update consumers x
    set after_id = greatest(c.after_id, least(up_to, c.leased_id)), exhausted = c.leased_last and up_to >= c.leased_id,
        failures = case when taken > 0 then 0 else c.failures end, error = case when taken > 0 then null else c.error end,
        leased_id = null, leased_last = null, leased_count = null, leased_until = null, leased_by = null,
        handled = c.handled + greatest(taken - move_position.skipped, 0), skipped = c.skipped + move_position.skipped
    where x.name = c.name;
    return true;
end
$$;
comment on function move_position is 'Moves a consumer behind leased events.';
