-- job_details: what job_states says, with what was asked (args or payload), what came of it (output or
-- output_payload) and how far it is (progress). Wide: meant for looking at jobs by id.
create view job_details as
select s.*, j.args, j.codec, j.payload, j.backoff, j.result_ttl,
       f.output, f.codec as output_codec, f.payload as output_payload,
       p.done as progress_done, p.total as progress_total
from job_states s
join jobs j on j.id = s.id
left join results f on f.job_id = s.id
left join progress p on p.job_id = s.id;
comment on view job_details is 'job_states with args, output and progress.';
