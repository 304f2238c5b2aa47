-- rfc3339(at): a time as text in UTC, 2030-01-31T18:00:00Z. Internal.
create function rfc3339(at timestamptz) returns text
language sql stable
as $$ select rtrim(rtrim(to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '0'), '.') || 'Z' $$;
comment on function rfc3339 is 'A time as text in UTC.';
