-- dag_of_key(name, key): the id of the DAG with this name and key; null when there is none (any more). Locks nothing.
-- roles: worker, operator, reader
create function dag_of_key(name text, key text) returns bigint
language sql stable security definer set search_path from current
as $$ select k.dag_id from dag_keys k where k.kind = dag_of_key.name and k.key = dag_of_key.key $$;
comment on function dag_of_key is 'The DAG with a name and key.';
