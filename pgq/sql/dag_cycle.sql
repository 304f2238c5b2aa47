-- dag_cycle(vertices, parents, children): cycles in a graph of the vertices 1..n with edges from parents[i] to children[i]:
-- of cycles that share vertices one, as its vertices in the direction of the edges. Internal.
-- No rows: there is none. Takes time in proportion to vertices and edges.
--
-- Vertices that wait for nothing are let go, and then what waited for them only (Kahn). Whatever is left has a
-- parent that is left, so a walk from parent to parent ends where it has been: in a cycle. Its vertices are let go, and
-- so on; the walk goes on from where it entered the cycle.
create function dag_cycle(vertices integer, parents integer[], children integer[]) returns setof integer[]
language plpgsql immutable
as $$
declare
    edges constant integer := cardinality(parents);
    pending integer[] := array_fill(0, array[vertices]); -- parents that are not let go; 0 or less: is let go itself
    first_out integer[] := pending; -- lists of edges: the first one by vertex, the next one by edge
    next_out integer[] := array_fill(0, array[edges]);
    first_in integer[] := pending;
    next_in integer[] := next_out;
    free integer[] := pending; -- vertices that are let go; those up to `told` have told their children
    freed integer := 0;
    told integer := 0;
    walk integer[] := pending;
    steps integer := 0;
    place integer[] := pending; -- in the walk
    start integer := 1;
    vertex integer;
    edge integer;
    cycle integer[];
begin
    for e in 1 .. edges loop
        next_out[e] := first_out[parents[e]];
        first_out[parents[e]] := e;
        pending[children[e]] := pending[children[e]] + 1;
    end loop;
    for v in 1 .. vertices loop
        if pending[v] = 0 then
            freed := freed + 1;
            free[freed] := v;
        end if;
    end loop;
    loop
        while told < freed loop
            told := told + 1;
            edge := first_out[free[told]];
            while edge > 0 loop
                vertex := children[edge];
                pending[vertex] := pending[vertex] - 1;
                if pending[vertex] = 0 then
                    freed := freed + 1;
                    free[freed] := vertex;
                end if;
                edge := next_out[edge];
            end loop;
        end loop;
        exit when freed = vertices;
        if cycle is null then
            for e in 1 .. edges loop
                next_in[e] := first_in[children[e]];
                first_in[children[e]] := e;
            end loop;
        end if;
        while steps > 0 and pending[walk[steps]] <= 0 loop
            steps := steps - 1;
        end loop;
        if steps = 0 then
            while pending[start] <= 0 loop
                start := start + 1;
            end loop;
            steps := 1;
            walk[1] := start;
            place[start] := 1;
        end if;
        loop
            edge := first_in[walk[steps]];
            while pending[parents[edge]] <= 0 loop
                edge := next_in[edge];
            end loop;
            first_in[walk[steps]] := edge;
            vertex := parents[edge];
            exit when place[vertex] > 0;
            steps := steps + 1;
            walk[steps] := vertex;
            place[vertex] := steps;
        end loop;
        cycle := '{}';
        for i in reverse steps .. place[vertex] loop
            cycle := cycle || walk[i];
            pending[walk[i]] := 0;
            freed := freed + 1;
            free[freed] := walk[i];
        end loop;
        steps := place[vertex] - 1;
        return next cycle;
    end loop;
end
$$;
comment on function dag_cycle is 'Cycles in a graph.';
