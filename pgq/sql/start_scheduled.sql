-- start_scheduled(names, targets, are_dags): enqueues what schedule_job returned for schedules; DAGs are submitted. The ids of the
-- jobs, in order; where one could not be enqueued null, with the SQLSTATE and the message. All jobs at once, and one by
-- one only if there is one among them that is refused; after one that a full queue refuses (PQ002) those of the same
-- schedule are not tried. Internal: fire_schedules and run_schedule, as an owner of the schema would do it.
create function start_scheduled(
    names text[], targets jsonb[], are_dags boolean[], out ids bigint[], out states text[], out errors text[])
language plpgsql
as $$
declare
    n constant integer := cardinality(targets);
    job_places constant integer[] := array(select i from generate_subscripts(targets, 1) i where not are_dags[i] order by i);
    -- Deadlocks, timeouts, a shutdown, a lack of resources say nothing against the job, and pass.
    passing constant text := '^(40|53|55|57|58|XX)';
    at_once bigint[];
begin
    ids := array_fill(null::bigint, array[n]);
    states := array_fill(null::text, array[n]);
    errors := states;
    perform act_as_owner(true);
    begin
        if job_places <> '{}' then
            at_once := array(
                select j from enqueue_many((select jsonb_agg(targets[i] order by p) from unnest(job_places) with ordinality u(i, p))) j);
        end if;
    exception when others then
        if sqlstate ~ passing then
            raise;
        end if;
    end;
    for place in 1 .. coalesce(cardinality(at_once), 0) loop
        ids[job_places[place]] := at_once[place];
    end loop;
    for i in 1 .. n loop
        continue when ids[i] is not null;
        if i > 1 and names[i] = names[i - 1] and states[i - 1] = 'PQ002' then
            states[i] := states[i - 1];
            errors[i] := errors[i - 1];
            continue;
        end if;
        begin
            if are_dags[i] then
                ids[i] := (select d.dag_id from dag_submit(targets[i]) d);
            else
                ids[i] := (select j from enqueue_many(jsonb_build_array(targets[i])) j);
            end if;
        exception when others then
            if sqlstate ~ passing then
                raise;
            end if;
            states[i] := sqlstate;
            errors[i] := left(sqlerrm, 1000);
        end;
    end loop;
    perform act_as_owner(false);
end
$$;
comment on function start_scheduled is 'Enqueues what schedules are to enqueue.';
