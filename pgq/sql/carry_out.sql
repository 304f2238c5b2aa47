-- carry_out(starting, others, verdicts, maps): does what was judged of waiting jobs: starts those that a handler is to run,
-- decides the others, and goes on with maps of which items are done. Internal: the caller has locked their rows.
-- Returns the jobs that are finished by it: their children are next.
create function carry_out(starting bigint[], others bigint[], verdicts text[], maps bigint[]) returns bigint[]
language plpgsql
as $$
begin
    if maps is not null then
        perform release_items(id) from unnest(maps) id;
    end if;
    if starting is not null then
        perform start_nodes(starting);
    end if;
    if others is null then
        return '{}';
    end if;
    return decide(others, verdicts);
end
$$;
comment on function carry_out is 'Does what was judged of waiting jobs.';
