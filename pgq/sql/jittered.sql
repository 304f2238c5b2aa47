-- jittered(name, due_at, jitter): when a schedule fires that is due: later by a part of its jitter, the same one whenever it is
-- asked for. Internal.
create function jittered(name text, due_at timestamptz, jitter interval) returns timestamptz
language sql stable
as $$
    select case when jitter = interval '0' then due_at else
        due_at + jitter * ((hashtextextended(name, extract(epoch from due_at)::bigint) & 1048575) / 1048576::float8) end
$$;
comment on function jittered is 'When a schedule fires that is due.';
