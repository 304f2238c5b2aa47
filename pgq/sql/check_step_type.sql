-- check_step_type(job_id, name, type): raises PQ001 unless the name of the job, which is taken, belongs to something of this type: a
-- step, a cursor, a sleep or a signal. Internal.
create function check_step_type(job_id bigint, name text, type text) returns void
language plpgsql stable
as $$
declare
    other text;
begin
    select s.type into other from steps s
    where s.job_id = check_step_type.job_id and s.name = check_step_type.name and s.type <> check_step_type.type;
    if found then
        perform invalid('name', format('must be that of a %s; %s is the name of a %s of this job', check_step_type.type,
                                       to_json(check_step_type.name), other));
    end if;
end
$$;
comment on function check_step_type is 'Raises PQ001 for a name that belongs to something else.';
