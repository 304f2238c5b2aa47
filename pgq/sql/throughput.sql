-- throughput: how many jobs ended in each minute of the last hour, per queue, newest first; the minute under way is
-- incomplete, and those in which none ended are left out. A stable contract for SELECT. In large installations partly an
-- estimate (exact is false), so that it takes milliseconds at any size; see ended_per_minute. Locks nothing.
-- roles: operator, reader
create view throughput as
select * from ended_per_minute();
comment on view throughput is 'Jobs that ended in each minute of the last hour, per queue.';
comment on column throughput.minute is 'Beginning of the minute.';
comment on column throughput.queue is 'Name of the queue.';
comment on column throughput.completed is 'Jobs that completed in it.';
comment on column throughput.failed is 'Jobs that failed in it: without attempts left, or for good.';
comment on column throughput.cancelled is 'Jobs that were cancelled in it.';
comment on column throughput.skipped is 'Nodes of DAGs that were skipped in it.';
comment on column throughput.expired is 'Jobs that expired in it.';
comment on column throughput.exact is 'False: the figures are partly estimates, or jobs that ended out of order may be missing.';
