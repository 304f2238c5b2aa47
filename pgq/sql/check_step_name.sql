-- check_step_name(name): the name of a step, cursor, sleep or signal, or PQ001 for one that cannot be that. Internal.
create function check_step_name(name text) returns text
language plpgsql immutable
as $$
begin
    if name is null or length(name) not between 1 and 200 then
        perform invalid('name', 'must have 1 to 200 characters');
    end if;
    return name;
end
$$;
comment on function check_step_name is 'The name of a step, or PQ001.';
