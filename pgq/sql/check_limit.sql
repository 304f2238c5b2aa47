-- check_limit(given): raises PQ001 for the first rule that a limit breaks. Internal: set_limit.
create function check_limit(given limits) returns void
language plpgsql
as $$
begin
    if given.max_running < 1 then
        perform invalid('max_running', 'must be at least 1');
    elsif given.rate < 1 then
        perform invalid('rate', 'must be at least 1');
    elsif given.burst < 1 then
        perform invalid('burst', 'must be at least 1');
    elsif given.period <= interval '0' or given.period > interval '366 days' then
        perform invalid('period', 'must be positive and at most 366 days');
    elsif given.period is not null and given.rate is null then
        perform invalid('period', 'must not be given without a rate');
    elsif given.burst is not null and given.rate is null then
        perform invalid('burst', 'must not be given without a rate');
    elsif given.rate is not null and given.period is null then
        perform invalid('period', 'must be given with a rate');
    elsif given.weight < 1 or given.weight > 1000 then
        perform invalid('weight', 'must be 1 to 1000');
    elsif given.weight is not null and given.scope <> 'group' then
        perform invalid('weight', 'must not be given but for groups');
    elsif given.break_after not between 1 and 1000 then
        perform invalid('break_after', 'must be 1 to 1000');
    elsif given.break_within <= interval '0' or given.break_within > interval '1 day' then
        perform invalid('break_within', 'must be positive and at most one day');
    elsif given.break_for <= interval '0' or given.break_for > interval '1 day' then
        perform invalid('break_for', 'must be positive and at most one day');
    elsif given.break_within is not null and given.break_after is null then
        perform invalid('break_within', 'must not be given without break_after');
    elsif given.break_for is not null and given.break_after is null then
        perform invalid('break_for', 'must not be given without break_after');
    elsif given.break_after is not null and given.break_within is null then
        perform invalid('break_within', 'must be given with break_after');
    elsif given.break_after is not null and given.break_for is null then
        perform invalid('break_for', 'must be given with break_after');
    end if;
end
$$;
comment on function check_limit is 'Refuses a limit that breaks a rule.';
