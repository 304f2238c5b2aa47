-- skip_in_line(keys): skips jobs behind a failed one in those of these sequences that are to do so, 1,000 at most; their children take
-- that as the failure of the failed one. Internal: next_in_line. Returns how many were skipped.
-- Locks: rows of waiting by job, skipping those that others have locked.
create function skip_in_line(keys text[]) returns integer
language plpgsql
as $$
#variable_conflict use_column
declare
    most integer := 1000;
    one record;
    gone record;
    skipped integer := 0;
begin
    for one in
        select s.key, s.skip_to, s.cause_id from sequences s
        where s.key = any(keys) and s.skip_to is not null order by s.key
    loop
        with locked as materialized (
            select w.ctid as tid from waiting w
            where w.sequence = one.key and w.job_id > one.cause_id and w.job_id <= one.skip_to
            order by w.job_id limit most for update skip locked
        ), taken as (
            delete from waiting where ctid = any(array(select tid from locked)) returning job_id, queue, attempt
        )
        select coalesce(array_agg(job_id order by job_id), '{}') as ids, array_agg(queue order by job_id) as queues,
               array_agg(attempt order by job_id) as attempts
        into gone
        from taken;
        perform settle(gone.ids, gone.queues, gone.attempts, 'skipped',
                       format('job %s of its sequence failed', one.cause_id), one.cause_id);
        skipped := skipped + cardinality(gone.ids);
        most := most - cardinality(gone.ids);
        update sequences s set skip_to = null, cause_id = null
        where s.key = one.key
          and not exists (
              select from waiting w where w.sequence = s.key and w.job_id > s.cause_id and w.job_id <= s.skip_to);
        exit when most = 0;
    end loop;
    return skipped;
end
$$;
comment on function skip_in_line is 'Skips jobs behind a failed one.';
