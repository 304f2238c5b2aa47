-- backoff_problem(policy): what is wrong with a backoff policy; null when nothing is.
-- A policy is {"type": "constant" | "linear" | "polynomial" | "exponential" | "table", "base": seconds, "factor": number,
-- "exponent": number, "delays": [seconds ...], "cap": seconds, "jitter": 0..1}; only type and base (of a table: delays) are required.
create function backoff_problem(policy jsonb) returns text
language plpgsql immutable
as $$
declare
    entry record;
begin
    if policy is null then
        return null;
    elsif jsonb_typeof(policy) <> 'object' then
        return 'must be a JSON object';
    elsif policy ->> 'type' is null or policy ->> 'type' not in ('constant', 'linear', 'polynomial', 'exponential', 'table') then
        return 'must have a type: constant, linear, polynomial, exponential or table';
    end if;
    for entry in select key, value from jsonb_each(policy) where key not in ('type', 'delays') loop
        if entry.key not in ('base', 'factor', 'exponent', 'cap', 'jitter') then
            return format('has an unknown field %s', to_json(entry.key));
        elsif jsonb_typeof(entry.value) <> 'number' then
            return format('must have a number as %s', entry.key);
        elsif entry.key in ('base', 'cap') and entry.value::numeric not between 0 and 31536000 then
            return format('must have a %s of 0 to 31536000 seconds', entry.key);
        elsif entry.key = 'factor' and entry.value::numeric not between 1 and 100 then
            return 'must have a factor of 1 to 100';
        elsif entry.key = 'exponent' and entry.value::numeric not between 0 and 10 then
            return 'must have an exponent of 0 to 10';
        elsif entry.key = 'jitter' and entry.value::numeric not between 0 and 1 then
            return 'must have a jitter of 0 to 1';
        end if;
    end loop;
    if policy ->> 'type' = 'table' then
        return backoff_delays_problem(policy -> 'delays');
    elsif policy ? 'delays' then
        return 'must have delays only as a table';
    elsif not policy ? 'base' then
        return 'must have a base in seconds';
    end if;
    return null;
end
$$;
comment on function backoff_problem is 'What is wrong with a backoff policy, or null.';
