-- backoff_delays_problem(delays): what is wrong with the delays of a backoff that is a table; null when nothing is. Internal: backoff_problem.
create function backoff_delays_problem(delays jsonb) returns text
language plpgsql immutable
as $$
begin
    if jsonb_typeof(delays) is distinct from 'array' then
        return 'must have delays, an array of seconds';
    elsif jsonb_array_length(delays) not between 1 and 100 then
        return 'must have 1 to 100 delays';
    elsif exists (select from jsonb_array_elements(delays) d(value) where jsonb_typeof(d.value) <> 'number') then
        return 'must have numbers as delays';
    elsif exists (select from jsonb_array_elements(delays) d(value) where d.value::numeric not between 0 and 31536000) then
        return 'must have delays of 0 to 31536000 seconds';
    end if;
    return null;
end
$$;
comment on function backoff_delays_problem is 'What is wrong with the delays of a backoff, or null.';
