-- propagate(job_ids): tells the children of jobs that have just finished in this transaction, and the children of
-- those that are finished by that, and so on: skips and jobs that no handler runs cost no round trip. Internal: all
-- verbs that finish jobs. What is more than 5,000 jobs or 200 generations is left to the frontier, that is to the
-- chores, so the transaction stays bounded at any depth and width.
create function propagate(job_ids bigint[]) returns void
language plpgsql
set plan_cache_mode = force_generic_plan
as $$
declare
    wave bigint[] := job_ids;
    told integer := 0;
    generations integer := 0;
begin
    loop
        wave := deliver(wave, array_fill(0::bigint, array[cardinality(wave)]),
                        array_fill(9223372036854775807, array[cardinality(wave)]));
        exit when wave = '{}';
        perform doom_dags(wave);
        told := told + cardinality(wave);
        generations := generations + 1;
        if told > 5000 or generations > 200 then
            insert into frontier (parent_id, first_child, last_child)
            select id, 0, 9223372036854775807
            from unnest(wave) id
            where exists (select from edges e where e.parent_id = id offset 0)
            on conflict (parent_id, first_child) do nothing;
            perform wake_chores();
            exit;
        end if;
    end loop;
end
$$;
comment on function propagate is 'Tells the children of finished jobs, and so on.';
