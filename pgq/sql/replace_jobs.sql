-- replace_jobs(jobs, outcomes, ids, since): gives queued jobs what later ones with their keys ask for: those of a JSON array of which the
-- outcome is replaced, in the order of the array. Args, metadata, tags and the ways to retry are replaced, and the time, if one is given; the
-- place in the queue stays. A debounced job moves on, but at most to max_wait after its key was taken (since).
-- Internal: enqueue_jobs, which has pinned those jobs. Locks what reschedule locks.
create function replace_jobs(jobs jsonb, outcomes text[], ids bigint[], since timestamptz[]) returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    later record;
begin
    for later in
        select i.*, ids[i.index + 1] as id,
               coalesce(i.run_at, now() + i.delay,
                        least(now() + unique_wait(i.uniqueness),
                              since[i.index + 1] + coalesce((i.uniqueness #>> '{debounce,max_wait}')::interval,
                                                            (i.uniqueness #>> '{throttle,every}')::interval))) as due
        from jobs_from_json(replace_jobs.jobs) i
        where outcomes[i.index + 1] = 'replaced'
        order by i.index
    loop
        update jobs j
        set args = later.args, codec = later.codec, payload = later.payload, metadata = later.metadata, tags = later.tags,
            max_attempts = later.max_attempts, timeout = later.timeout, backoff = later.backoff, result_ttl = later.result_ttl
        where j.id = later.id;
        if later.due is not null then
            perform reschedule(array[later.id], later.due);
        end if;
        perform record_event('replaced', later.id, later.queue);
    end loop;
end
$$;
comment on function replace_jobs is 'Gives queued jobs what later ones ask for.';
