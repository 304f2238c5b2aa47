-- unique_verdicts(jobs, job_ids): the keys of those jobs of a JSON array that are to be unique and what becomes of all (take_keys), by
-- place; nulls when none is to be unique. Internal: enqueue_jobs. Locks what take_keys locks.
create function unique_verdicts(
    jobs jsonb, job_ids bigint[], out keys text[], out outcomes text[], out ids bigint[], out since timestamptz[])
language plpgsql
as $$
#variable_conflict use_column
begin
    if not jsonb_path_exists(jobs, '$[*].unique') then
        return;
    end if;
    with wanted as materialized (
        select i.index + 1 as place,
               case when i.uniqueness is not null then unique_key(i.uniqueness, i.kind, i.queue, i.args) end as key,
               case when i.uniqueness ?| '{debounce,throttle}' then 'queued'
                    else coalesce(i.uniqueness ->> 'while', 'unfinished') end as while,
               unique_until(i.uniqueness) as holds_until,
               case when unique_wait(i.uniqueness) is not null then 'replace'
                    else coalesce(i.uniqueness ->> 'on_conflict', 'existing') end as conflict
        from jobs_from_json(unique_verdicts.jobs) i
    ), said as (
        select t.*
        from (select array_agg(key order by place) as keys, array_agg("while" order by place) as whiles,
                     array_agg(holds_until order by place) as holds, array_agg(conflict order by place) as conflicts
              from wanted) a
        cross join lateral take_keys(a.keys, job_ids, a.whiles, a.holds, a.conflicts) t
    )
    select array_agg(w.key order by w.place), array_agg(coalesce(s.outcome, 'added') order by w.place),
           array_agg(coalesce(s.job_id, job_ids[w.place]) order by w.place), array_agg(s.taken_at order by w.place)
    into keys, outcomes, ids, since
    from wanted w
    left join said s on s.place = w.place;
end
$$;
comment on function unique_verdicts is 'What becomes of jobs that are to be unique.';
