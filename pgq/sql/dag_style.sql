-- dag_style(direction, max_nodes): raises PQ001 for options of a picture of a DAG that make none. Internal: dag_mermaid
-- and dag_dot.
create function dag_style(direction text, max_nodes integer) returns void
language plpgsql
as $$
begin
    if direction is null or direction not in ('TD', 'TB', 'BT', 'LR', 'RL') then
        perform invalid('direction', 'must be TD, TB, BT, LR or RL');
    elsif max_nodes is null or max_nodes not between 1 and 10000 then
        perform invalid('max_nodes', 'must be 1 to 10000');
    end if;
end
$$;
comment on function dag_style is 'Raises PQ001 for bad options of a picture.';
