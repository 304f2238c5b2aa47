-- retry_in_line(job_ids, attempts, place): makes jobs ready that are to run again, except those whose sequence another one is at: these wait
-- in line and are returned. place: where they were; a scheduled one is the head of its sequence. Internal: retry, which has taken them from there.
create function retry_in_line(job_ids bigint[], attempts integer[], place text) returns bigint[]
language plpgsql
as $$
declare
    of_sequences record;
    queued bigint[] := '{}';
    now_ready record;
begin
    if place <> 'scheduled' then
        select array_agg(j.id order by j.id) as ids, array_agg(u.attempt order by j.id) as attempts
        into of_sequences
        from unnest(job_ids, attempts) u(id, attempt)
        cross join lateral (select id, sequence from jobs where jobs.id = u.id offset 0) j
        where j.sequence is not null;
        if of_sequences.ids is not null then
            queued := array(select unnest(of_sequences.ids) except select unnest(line_up(of_sequences.ids, of_sequences.attempts)));
        end if;
    end if;
    select array_agg(u.id order by u.id) as ids, array_agg(u.attempt order by u.id) as attempts
    into now_ready
    from unnest(job_ids, attempts) u(id, attempt) where u.id <> all(queued);
    perform put_ready(now_ready.ids, now_ready.attempts);
    return queued;
end
$$;
comment on function retry_in_line is 'Makes jobs ready that are to run again, or lets them wait in line.';
