-- import_analyze(): analyzes the tables that have grown much in this transaction, as autovacuum would some time after it, so that what is imported is
-- found by good plans at once. Returns how many. Call it before the transaction that imported commits.
-- Locks: what ANALYZE locks.
-- roles: owner
create function import_analyze() returns integer
language plpgsql security definer set search_path from current
as $$
declare
    name text;
    n integer := 0;
begin
    for name in
        select c.relname from pg_class c join pg_stat_xact_user_tables x on x.relid = c.oid
        where c.relnamespace = quote_ident(current_schema())::regnamespace and x.n_tup_ins > 1000 + 0.1 * greatest(c.reltuples, 0)
        order by 1
    loop
        execute format('analyze %I', name);
        n := n + 1;
    end loop;
    return n;
end
$$;
comment on function import_analyze is 'Analyzes the tables that have grown much in this transaction.';
