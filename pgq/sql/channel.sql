-- channel(): the NOTIFY channel on which workers of this schema are woken and told to cancel jobs.
-- Payloads: "wake QUEUE" and "cancel WORKER_ID JOB_ID ATTEMPT".
create function channel() returns text
language sql stable
as $$ select 'pgq:' || current_schema() $$;
comment on function channel is 'NOTIFY channel of the workers of this schema.';
