-- renumber(id, old_ids, new_ids): the new id for an old one (old_ids are sorted); an id that is not among them stays.
-- Internal, inlined: dag_fork.
create function renumber(id bigint, old_ids bigint[], new_ids bigint[]) returns bigint
language sql immutable
as $$
    select case when old_ids[width_bucket(id, old_ids)] = id then new_ids[width_bucket(id, old_ids)] else id end
$$;
comment on function renumber is 'The new id for an old one.';
