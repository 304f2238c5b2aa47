-- max_run_size(): how many jobs a row of ready holds at the most. Larger runs make bulk work cheaper,
-- smaller ones let more workers claim from one bulk at the same time.
create function max_run_size() returns integer
language sql immutable
as $$ select 100 $$;
comment on function max_run_size is 'How many jobs a row of ready holds at the most.';
