-- advisory_key(name): the key of an advisory lock of this schema.
-- Takes no lock itself. Every advisory lock of the product goes through this function, so that two
-- schemas in one database never meet.
create function advisory_key(name text) returns bigint
language sql stable
as $$ select hashtextextended('pgq/' || current_schema() || '/' || name, 0) $$;
comment on function advisory_key is 'Key of an advisory lock of this schema.';
