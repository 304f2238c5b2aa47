-- caller(): the database role that a session acts as, whichever functions are between: that of SET ROLE, else the one
-- that logged in. Inside of a SECURITY DEFINER function current_user is the owner of the schema. Null for a role that was renamed or
-- dropped meanwhile. Internal: without a search_path of its own, so that it can be inlined.
create function caller() returns oid
language sql stable
as $$
    select to_regrole(quote_ident(case current_setting('role') when 'none' then session_user else current_setting('role') end))::oid
$$;
comment on function caller is 'The database role that a session acts as.';
