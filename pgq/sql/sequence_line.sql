-- sequence_line(key, after, at_most): the jobs of a sequence that have not ended, in the order in which they run: the head, also one that has stopped
-- it, and those in line. after: only those behind this job. No rows when there is none. Locks nothing.
-- roles: operator, reader
create function sequence_line(key text, after bigint default 0, at_most integer default 1000) returns setof job_details
language plpgsql stable security definer set search_path from current
set jit = off set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
begin
    if at_most is null or at_most not between 1 and 10000 then
        perform invalid('at_most', 'must be 1 to 10000');
    end if;
    return query
        select s.*
        from (select h.job_id, 0 as place from sequences h where h.key = sequence_line.key and h.job_id is not null and after = 0
              union all
              (select w.job_id, 1 from waiting w where w.sequence = sequence_line.key and w.job_id > after order by w.job_id limit at_most)
              order by place, job_id limit at_most) l
        cross join lateral (select * from job_details where id = l.job_id offset 0) s
        order by l.place, l.job_id;
end
$$;
comment on function sequence_line is 'The jobs of a sequence that have not ended, in order.';
