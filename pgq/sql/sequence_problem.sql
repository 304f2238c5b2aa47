-- sequence_problem(sequence, on_failure, uniqueness): the first rule that a job breaks with what it says of its sequence, as {field, rule};
-- null when none. Of those whose unique key may change an earlier job none can be in a sequence: that one may be in line already, and
-- what it does is what was asked when it got there. The same rules stand in Go (pgq/sequence.go). Internal: enqueue and check_jobs_json.
create function sequence_problem(sequence text, on_failure text, uniqueness jsonb) returns text[]
language sql immutable
as $$
    select case
        when length(sequence) not between 1 and 500 then array['sequence', 'must have 1 to 500 characters']
        when on_failure not in ('stop', 'skip', 'continue') then array['on_failure', 'must be stop, skip or continue']
        when on_failure is not null and sequence is null then array['on_failure', 'must not be given without a sequence']
        when sequence is not null and (uniqueness ?| '{debounce,throttle}' or uniqueness ->> 'on_conflict' = 'replace')
            then array['sequence', 'must not be given together with a unique key that replaces, debounces or throttles']
    end
$$;
comment on function sequence_problem is 'The first rule that a job breaks with its sequence.';
