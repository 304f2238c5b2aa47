-- event_gate(): the first of the sixteen advisory locks that consumers who sleep hold, shared; see sleep_gate. Internal.
create function event_gate() returns bigint
language sql stable
as $$ select advisory_key('sleep-events') $$;
comment on function event_gate is 'Advisory locks of consumers who sleep.';
