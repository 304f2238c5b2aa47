-- sample_pages(place, pages): what is in so many pages of ready, scheduled, waiting or results, by page, queue and state: of as many equal parts of the
-- table a page each, at another place in each part, since what is there may repeat itself at distances like those of the parts.
-- Of a table that has no more pages all is read, as one page. Internal: sampled_jobs.
--
-- Not by tablesample: that takes each page by chance, so that how many they are, and the figures made of them, would differ by a tenth and more from
-- one look to the next.
create function sample_pages(place text, pages integer) returns table (page bigint, queue text, state text, rows bigint, jobs bigint)
language plpgsql stable
set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    size constant bigint := pg_relation_size(place::regclass) / current_setting('block_size')::integer;
    first tid;
    last tid;
begin
    for i in 0 .. case when size <= pages then 0 else pages - 1 end loop
        page := case when size <= pages then 0 else floor((i + i * 0.618034 % 1) * size / pages) end;
        first := format('(%s,0)', page);
        last := format('(%s,0)', case when size <= pages then size else page + 1 end);
        if place = 'ready' then
            return query select page, r.queue, place, count(*), sum(r.size) from ready r where r.ctid >= first and r.ctid < last group by r.queue;
        elsif place = 'scheduled' then
            return query select page, s.queue, place, count(*), count(*) from scheduled s where s.ctid >= first and s.ctid < last group by s.queue;
        elsif place = 'waiting' then
            return query select page, w.queue, place, count(*), count(*) from waiting w where w.ctid >= first and w.ctid < last group by w.queue;
        else
            return query select page, f.queue, f.state, count(*), count(*) from results f where f.ctid >= first and f.ctid < last group by f.queue, f.state;
        end if;
    end loop;
end
$$;
comment on function sample_pages is 'What is in some pages of a table, by queue and state.';
