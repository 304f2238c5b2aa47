-- event_types(): the types of events. usual: the job went its usual way, which is written at level all or while somebody
-- subscribes; the others are written at level changes, too. What Go calls them: pgq/event_types.go, which a test compares. Locks nothing.
-- roles: worker, operator, reader
create function event_types() returns table (type text, usual boolean, meaning text)
language sql immutable security definer set search_path from current
as $$
    values
        ('enqueued', true, 'a job was enqueued'),
        ('claimed', true, 'a worker took a job'),
        ('completed', true, 'a job was completed; of DAGs and maps it is a change'),
        ('released', true, 'a worker gave a job back'),
        ('retried', false, 'an attempt failed, the job is tried again: error, run_at'),
        ('snoozed', false, 'a handler put its job off: run_at'),
        ('failed', false, 'a job failed for good: error'),
        ('cancelled', false, 'a job was cancelled: error, by'),
        ('expired', false, 'a job was not started in time'),
        ('skipped', false, 'a node is not run, since its parents rule it out: cause'),
        ('cancel_requested', false, 'a running job is to be cancelled: by, reason'),
        ('retry_requested', false, 'a job is run again at somebody''s wish: by, reason'),
        ('rescheduled', false, 'a job got another time: run_at'),
        ('replaced', false, 'a unique job got the args of a later one'),
        ('deleted', false, 'a job was deleted by hand: kind, state'),
        ('moved', false, 'a job went to another queue: from, to'),
        ('priority_set', false, 'a job got another priority: from, to'),
        ('signalled', false, 'a signal was sent to a job: step'),
        ('submitted', false, 'a DAG was submitted: nodes'),
        ('extended', false, 'a DAG got more nodes: nodes'),
        ('held', false, 'nodes of a DAG are not started: reason'),
        ('resumed', false, 'nodes of a DAG, or jobs of a queue, kind or group, are started again'),
        ('opened', false, 'an external node waits for its answer, or a sleep for its time'),
        ('paused', false, 'jobs of a queue, kind or group are not started: scope, name and until where that is a limit''s'),
        ('queue_set', false, 'settings of a queue changed: settings'),
        ('limit_set', false, 'a limit changed: scope, name, settings'),
        ('limit_deleted', false, 'a limit was taken away: scope, name'),
        ('breaker_opened', false, 'a circuit breaker opened at the end of this job'),
        ('breaker_closed', false, 'a circuit breaker closed at the end of this job'),
        ('sequence_stopped', false, 'a sequence stands still, since this job of it failed for good: sequence'),
        ('sequence_resumed', false, 'a sequence goes on without the job that stopped it: sequence'),
        ('operated', false, 'an operator changed many jobs: verb, by, reason, filter, outcomes')
$$;
comment on function event_types is 'Types of events.';
