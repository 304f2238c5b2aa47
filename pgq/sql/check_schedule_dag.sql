-- check_schedule_dag(dag, kind, args, options): the DAG of a schedule, null if it has a job instead. Raises PQ001 with all that is wrong
-- with it (dag_problems), in words. Internal: set_schedule.
create function check_schedule_dag(dag jsonb, kind text, args jsonb, options jsonb) returns jsonb
language plpgsql stable
as $$
begin
    if dag is null then
        return null;
    elsif num_nonnulls(kind, args, options) > 0 then
        perform invalid('dag', 'must not be given together with kind, args or options');
    elsif dag ? 'key' then
        perform invalid('dag', 'must not have a key: that is made of the schedule''s name and the time');
    end if;
    perform dag_refuse(dag);
    return dag;
exception when sqlstate 'PQ001' then
    perform invalid('dag', regexp_replace(sqlerrm, '^dag:? ', ''));
end
$$;
comment on function check_schedule_dag is 'The DAG of a schedule, checked.';
