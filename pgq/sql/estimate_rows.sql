-- estimate_rows(query): how many rows the planner expects of a query. Internal: counts of large tables.
create function estimate_rows(query text) returns bigint
language plpgsql stable
as $$
declare
    plan json;
begin
    execute 'explain (format json) ' || query into plan;
    return (plan -> 0 -> 'Plan' ->> 'Plan Rows')::double precision::bigint;
end
$$;
comment on function estimate_rows is 'How many rows the planner expects of a query.';
