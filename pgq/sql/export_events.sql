-- export_events(after, at_most, ...): events with ids above after, in the order of their ids, as one JSON object each that
-- import_events takes: {"type": "event", "event": {a row of events}}. Filters, null for any: queues, types, since and until, kinds and job_ids (of
-- jobs that are there; of events of deletion the kind is known, too). Fewer than at_most rows: the end. Locks nothing.
-- roles: operator, reader
create function export_events(
    after bigint default 0, at_most integer default 1000, queues text[] default null, types text[] default null,
    since timestamptz default null, until timestamptz default null, kinds text[] default null, job_ids bigint[] default null)
returns table (id bigint, line jsonb)
language sql stable security definer set search_path from current set jit = off set timezone = 'UTC' set datestyle = 'ISO'
as $$
    select e.id, jsonb_build_object('type', 'event', 'event', to_jsonb(e) - 'xid')
    from events e
    where e.id > after
      and (queues is null or e.queue = any(queues))
      and (types is null or e.type = any(types))
      and (since is null or e.at >= since)
      and (until is null or e.at < until)
      and (job_ids is null or e.job_id = any(job_ids))
      and (kinds is null or exists (select from jobs j where j.id = e.job_id and j.kind = any(kinds) offset 0)
           or e.type = 'deleted' and e.data ->> 'kind' = any(kinds))
    order by e.id limit within('at_most', at_most, 0, 1000000)
$$;
comment on function export_events is 'Events, as import_events takes them.';
