-- explain_time(at): a time as pgq-admin writes all of them, in UTC and to the second: "2026-03-01T12:30:05Z". Internal.
create function explain_time(at timestamptz) returns text
language sql stable
as $$
    select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
$$;
comment on function explain_time is 'A time in plain words.';
