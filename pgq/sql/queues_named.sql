-- queues_named(jobs, base): the queues that a JSON array of jobs or nodes names, those of their callbacks included; base is that of jobs which name
-- none. Whatever else is in the array: rights are asked for before it is looked at, since what is said of it could tell, for one, which kinds there
-- are. Internal: whatever enqueues what is given as JSON.
create function queues_named(jobs jsonb, base text) returns text[]
language sql immutable
as $$
    select array(
        select coalesce(j.value ->> 'queue', base) from jsonb_path_query(jobs, '$[*] ? (@.type() == "object")') j(value)
        union
        select coalesce(c.value ->> 'queue', 'default') from jsonb_path_query(jobs, '$[*].callbacks.* ? (@.type() == "object")') c(value))
$$;
comment on function queues_named is 'The queues that jobs and their callbacks name.';
