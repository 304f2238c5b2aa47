-- dag_problems_job_of(entry): the id of the job that an entry of "after" names: {"job": 123}; null when it names none, or
-- not by a positive integer. Internal, inlined.
create function dag_problems_job_of(entry jsonb) returns bigint
language sql immutable
as $$
    select case
        when jsonb_typeof(entry) <> 'object' or jsonb_typeof(entry -> 'job') <> 'number' then null
        when entry ->> 'job' ~ '^[1-9][0-9]{0,18}$' and (entry ->> 'job')::numeric <= 9223372036854775807
            then (entry ->> 'job')::bigint
    end
$$;
comment on function dag_problems_job_of is 'Job that an entry of "after" names.';
