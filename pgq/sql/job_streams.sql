-- job_streams(states, queues, ids, dags, newest_first): the queries from which select_jobs takes the jobs that it looks at:
-- rows (stream, id) in the order of the ids, above $14 and below $15, at most $17 of each; what they leave out does not fit.
-- Small tables and indexes are read where they hold all that can fit; else jobs or results are walked. Internal.
create function job_streams(states text[], queues text[], ids bigint[], dags bigint[], newest_first boolean) returns text[]
language plpgsql stable
as $$
declare
    most constant integer := 10000;
    ends constant text[] := array(select s from unnest('{failed,cancelled,skipped,expired}'::text[]) s where s = any(states));
    place text;
    least_ready bigint;
    sources text[] := '{}';
begin
    if job_streams.ids is not null then
        sources := array['select distinct u as id from unnest($6) u'];
    elsif dags is not null then
        sources := array['select m.id from jobs m where m.dag_id = any($8) offset 0'];
    elsif states is null then
        sources := array['select id from jobs'];
    elsif states = '{}' then
        sources := array['select 0::bigint as id where false'];
    end if;
    if sources <> '{}' then
        states := '{}';
    end if;
    foreach place in array '{waiting,scheduled,running}'::text[] loop
        if place = any(states) then
            sources := sources || format('select job_id as id from %I', place);
        end if;
    end loop;
    if 'ready' = any(states) then
        if (select count(*) from (select from ready limit most + 1) r) <= most then
            sources := sources || 'select r.job_id + g as id from ready r, generate_series(0, r.size - 1) g
                                   where r.job_id < $15 and r.job_id + r.size > $14'::text;
        else
            select min(first.id) into least_ready
            from (select min(a.job_id) as id from ready a where a.seq <> a.job_id
                  union all
                  select f.seq from queue_names() q, generate_series(0, 9) p,
                       lateral (select r.seq from ready r where r.queue = q and r.priority = p order by r.seq limit 1) f) first;
            sources := sources || format('select id from jobs where id >= %s', least_ready);
        end if;
    end if;
    if 'completed' = any(states) then
        sources := sources || 'select job_id as id from results'::text;
    elsif states <> '{}' and ends <> '{}' then
        if (select count(*)
            from (select from unnest(coalesce(job_streams.queues, array(select queue_names()))) q, unnest(ends) s,
                      lateral (select from results r where r.queue = q and r.state = s and r.state <> 'completed' and r.dag_id is null
                               union all
                               select from results r where r.queue = q and r.state = s and r.state <> 'completed' and r.dag_id is not null
                               limit most + 1) r
                  limit most + 1) r) <= most then
            sources := sources || format(
                'select r.job_id as id from unnest(%s) q, unnest(%L::text[]) s,
                     lateral (select r.job_id from results r where r.queue = q and r.state = s and r.state <> ''completed'' and r.dag_id is null
                              union all
                              select r.job_id from results r where r.queue = q and r.state = s and r.state <> ''completed'' and r.dag_id is not null
                              offset 0) r',
                case when job_streams.queues is null then 'array(select queue_names())' else '$1' end, ends);
        else
            sources := sources || 'select job_id as id from results'::text;
        end if;
    end if;
    return array(
        select format('(select %s as stream, id from (%s) s where id > $14 and id < $15 order by id %s limit $17)',
                      s.ordinality, s.source, case when newest_first then 'desc' end)
        from unnest(sources) with ordinality s(source, ordinality));
end
$$;
comment on function job_streams is 'The queries from which select_jobs takes the jobs that it looks at.';
