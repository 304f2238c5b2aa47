-- group_problem(group_name): the rule that the name of a job's group breaks, as {field, rule}; null when none. Internal.
create function group_problem(group_name text) returns text[]
language sql immutable
as $$
    select case
        when length(group_name) not between 1 and 200 then array['group', 'must have 1 to 200 characters']
        when group_name collate "C" ~ '[\u0001-\u001F\u007F-\u009F]' then array['group', 'must not have control characters']
        when right(group_name, 1) = '*' then array['group', 'must not end in "*", which in the name of a limit stands for many groups']
    end
$$;
comment on function group_problem is 'The rule that the name of a group breaks.';
