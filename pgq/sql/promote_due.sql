-- promote_due(at_most): promote from where it stopped the last time, less a minute for transactions that committed
-- late; from the start every ten seconds. Returns how many jobs were promoted. Internal: do_chores.
create function promote_due(at_most integer) returns integer
language plpgsql
as $$
declare
    whole constant boolean := chore_is_due('promote', interval '10 s');
    chore chores;
    result record;
begin
    select * into chore from chores where name = 'promote';
    select * into result
    from promote(at_most, case when whole then '-infinity' else to_timestamp(chore.position) - interval '1 min' end);
    if result.promoted > 0 then
        update chores set position = extract(epoch from result.up_to) where name = 'promote';
    end if;
    return result.promoted;
end
$$;
comment on function promote_due is 'Promotes from where it stopped the last time.';
