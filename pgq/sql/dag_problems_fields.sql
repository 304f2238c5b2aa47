-- dag_problems_fields(): the fields of a DAG document's nodes: the types of nodes that have them, what they are read as, and
-- what stands in for one that has been found wrong, so that it is not reported again as missing. Internal.
-- The type "document" stands for the DAG itself (dag_problems_document). Fields that tell how a node hangs
-- together with others (name, after, before) are looked at elsewhere (dag_problems_names, dag_problems_links).
create function dag_problems_fields() returns table (field text, types text[], form text, stand_in jsonb)
language sql immutable
as $$
    values ('type', '{job,dag,external,sleep,map}'::text[], 'text', null::jsonb),
           ('rule', '{job,dag,external,sleep,map}', 'text', null),
           ('at_least', '{job,dag,external,sleep,map}', 'integer', '1'),
           ('queue', '{job,dag,external,sleep,map,document}', 'text', null),
           ('priority', '{job,dag,external,sleep,map,document}', 'integer', null),
           ('tags', '{job,dag,external,sleep,map,document}', 'texts', null),
           ('metadata', '{job,dag,external,sleep,map,document}', 'jsonb', null),
           ('kind', '{job,map,document}', 'text', '"-"'),
           ('args', '{job,map}', 'jsonb', null),
           ('codec', '{job}', 'text', '"-"'),
           ('payload', '{job}', 'text', '""'),
           ('max_attempts', '{job,map}', 'integer', null),
           ('backoff', '{job,map}', 'jsonb', null),
           ('timeout', '{job,map,external}', 'interval', '"1 s"'),
           ('ttl', '{job,map,document}', 'interval', null),
           ('group', '{job,map}', 'text', null),
           ('result_ttl', '{job,map,document}', 'interval', null),
           ('callbacks', '{job,map}', 'jsonb', null),
           ('delay', '{job,map,sleep}', 'interval', '"1 s"'),
           ('default', '{external}', 'jsonb', null),
           ('over', '{map}', 'text', '"-"'),
           ('path', '{map}', 'text', null),
           ('as', '{map}', 'text', '"-"'),
           ('window', '{map}', 'integer', null),
           ('tolerate', '{map}', 'numeric', null),
           ('on_failure', '{document}', 'text', null),
           ('output', '{dag,document}', 'text', null),
           ('key', '{document}', 'text', null)
$$;
comment on function dag_problems_fields is 'Fields of the nodes of a DAG document.';
