-- count_strikes(): counts attempts that failed, and opens the circuit breakers for which that were too many in their time. Failures while one is open
-- or half-open are forgotten: what counts then is the probe. Internal: tend_breakers.
create function count_strikes() returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    now constant timestamptz := clock_timestamp();
    news record;
begin
    for news in
        with taken as (
            delete from strikes returning *
        ), struck as (
            select scope, name, array_agg(at) as at, max(job_id) filter (where latest) as job_id
            from (select *, at = max(at) over (partition by scope, name) as latest from taken) t
            group by scope, name
        )
        select s.scope, s.name, s.job_id, j.queue, b.break_after, b.break_within, b.break_for, recent.at
        from struck s
        cross join lateral breaker_of(s.scope, s.name) b
        left join gates g on g.scope = s.scope and g.name = s.name
        left join lateral (select queue from jobs where jobs.id = s.job_id offset 0) j on true
        cross join lateral (
            select array_agg(f.at order by f.at) as at
            from (select f.at from unnest(g.failed_at || s.at) f(at) where f.at > now - b.break_within order by f.at desc limit b.break_after) f) recent
        where g.opened_at is null and recent.at is not null
        order by s.scope, s.name
    loop
        insert into gates as g (scope, name, failed_at) values (news.scope, news.name, news.at)
        on conflict (scope, name) do update set failed_at = excluded.failed_at;
        if cardinality(news.at) >= news.break_after then
            update gates g set opened_at = now, probe_at = now + news.break_for where g.scope = news.scope and g.name = news.name;
            perform record_event('breaker_opened', news.job_id, coalesce(news.queue, case news.scope when 'queue' then news.name end),
                data => jsonb_build_object('scope', news.scope, 'name', news.name, 'failures', news.break_after, 'probe_at', now + news.break_for));
        end if;
    end loop;
end
$$;
comment on function count_strikes is 'Opens circuit breakers after too many failures.';
