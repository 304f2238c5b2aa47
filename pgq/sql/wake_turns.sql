-- wake_turns(scope, name): wakes the workers of queues in which jobs may have waited for a limit that has changed, and lets groups that are parked for
-- want of room be looked at. Internal.
create function wake_turns(scope text, name text) returns void
language plpgsql
as $$
#variable_conflict use_variable
declare
    prefix constant text := rtrim(name, '*');
begin
    if scope = 'group' then
        perform add_vacancies(array[name]);
    end if;
    perform wake(array(
        select q from queues_in_turn() q
        where case scope
            when 'queue' then q = name
            when 'kind' then exists (select from kinds_in_line(q) k where k.kind = name)
            when 'group' then starts_with(
                (select b.group_name from backlogs b where b.queue = q and b.group_name >= prefix order by b.group_name limit 1), prefix)
        end
        union
        select name where scope = 'queue'));
end
$$;
comment on function wake_turns is 'Wakes the workers of queues whose jobs a limit concerns.';
