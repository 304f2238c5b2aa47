-- failures: the dead letters, together by what error_fingerprint says of their errors, kind and queue; most jobs first. Looks
-- at the newest 1,000; where there are more, exact is false. list_failures looks at more, and at some only.
-- roles: operator, reader
create view failures as
select fingerprint, kind, queue, jobs, first_at, last_at, last_job_id, error, exact
from list_failures(at_most => 1000, look_at => 1000);
comment on view failures is 'The newest failures, together by fingerprint, kind and queue.';
comment on column failures.fingerprint is 'What errors of one sort have in common; see error_fingerprint.';
comment on column failures.kind is 'Kind of the jobs.';
comment on column failures.queue is 'Queue of the jobs.';
comment on column failures.jobs is 'How many failed jobs have such an error.';
comment on column failures.first_at is 'When the first of them failed.';
comment on column failures.last_at is 'When the last of them failed.';
comment on column failures.last_job_id is 'The last of them.';
comment on column failures.error is 'Its error.';
comment on column failures.exact is 'False: there are more failed jobs than were looked at.';
