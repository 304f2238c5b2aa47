-- advisory_key(name): the key of an advisory lock of this schema.
-- Takes no lock itself. Every advisory lock of the product goes through this function, so that two
-- schemas in one database never meet, whatever their names: one with a slash is in quotes.
create function advisory_key(name text) returns bigint
language sql stable
as $$ select hashtextextended('pgq/' || quote_ident(current_schema()) || '/' || name, 0) $$;
comment on function advisory_key is 'Key of an advisory lock of this schema.';
