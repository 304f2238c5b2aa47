-- counts(at_most): jobs per queue and state, one row for each state that has any. Counted up to at_most; beyond
-- it the figure is the planner's estimate and exact is false. So the cost does not grow with the number
-- of jobs. Completed jobs are counted while the results table is small, else estimated.
create function counts(at_most integer default 10000)
returns table (queue text, state text, jobs bigint, exact boolean)
language plpgsql stable set search_path from current
as $$
#variable_conflict use_column
declare
    name text;
    source record;
    counted bigint;
    small constant boolean := coalesce((select reltuples from pg_class where oid = 'results'::regclass), 0) < 5 * at_most
        and (select count(*) from (select from results limit 5 * at_most) f) < 5 * at_most;
begin
    if small then
        return query select f.queue, f.state, count(*), true from results f where f.state = 'completed' group by 1, 2;
    end if;
    return query select r.queue, 'running', count(*), true from running r group by 1;
    for name in select queue_names() loop
        for source in
            select * from (values
                ('ready', format('from ready where queue = %L', name)),
                ('scheduled', format('from scheduled where queue = %L', name)),
                ('completed', format('from results where queue = %L and state = ''completed''', name)),
                ('failed', format('from results where queue = %L and state = ''failed'' and state <> ''completed''', name)),
                ('cancelled', format('from results where queue = %L and state = ''cancelled'' and state <> ''completed''', name)),
                ('skipped', format('from results where queue = %L and state = ''skipped'' and state <> ''completed''', name)),
                ('expired', format('from results where queue = %L and state = ''expired'' and state <> ''completed''', name))
            ) v(state, rows)
        loop
            if source.state = 'completed' then
                if not small then
                    return query select name, 'completed', estimate_rows('select ' || source.rows), false;
                end if;
                continue;
            end if;
            execute format('select count(*) from (select %s limit %s) c', source.rows, at_most + 1) into counted;
            if counted > at_most then
                counted := greatest(counted, estimate_rows('select ' || source.rows));
                if source.state = 'ready' then
                    counted := counted * (select round(avg(c.size)) from (select r.size from ready r where r.queue = name limit 1000) c);
                end if;
                return query select name, source.state, counted, false;
            elsif counted > 0 and source.state = 'ready' then
                return query select name, source.state, sum(r.size), true from ready r where r.queue = name;
            elsif counted > 0 then
                return query select name, source.state, counted, true;
            end if;
        end loop;
    end loop;
end
$$;
comment on function counts is 'Jobs per queue and state.';
