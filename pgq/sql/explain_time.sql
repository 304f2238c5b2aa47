-- explain_time(at): a time in plain words, to the second, in the session's time zone: "2026-03-01 12:30:05+00". Internal.
create function explain_time(at timestamptz) returns text
language sql stable
as $$
    select to_char(at, 'YYYY-MM-DD HH24:MI:SSOF')
$$;
comment on function explain_time is 'A time in plain words.';
