package pgq_test

import "testing"

func TestRegisterWorkerCases(t *testing.T) {
	t.Parallel()
	const name, lease = "PQ001 name must have 1 to 200 characters", "PQ001 lease must be 1 second to 1 day"
	const each = " each must have 1 to 128 characters"
	verbTest(t, []verbCase{
		{name: "with all", call: "select register_worker('host/7', '{a,b}', '{k}', '5 s')", want: "(3)",
			then: "select (select string_agg(name, ' ' order by name) from queues where name <> '*'), (select string_agg(name, ' ') from known_kinds), (select lease from workers where id = 3)",
			is:   "(\"a b\",k,00:00:05)"},
		{name: "with the shortest and the longest lease", call: "select register_worker(repeat('ü', 200), '{}', '{}', '1 s'), register_worker('w', null, null, '1 day')", want: "(3,4)"},
		{name: "no name", call: "select register_worker(null, '{}', '{}')", want: name},
		{name: "an empty name", call: "select register_worker('', '{}', null)", want: name},
		{name: "a long name", call: "select register_worker(repeat('ü', 201), '{}', '{}')", want: name},
		{name: "a name of two lines", call: `select register_worker(e'a\nb', '{}', '{}')`, want: "PQ001 name must not have control characters"},
		{name: "no lease", call: "select register_worker('w', '{}', '{}', null)", want: lease},
		{name: "a short lease", call: "select register_worker('w', '{}', '{}', '999 ms')", want: lease},
		{name: "a lease for ever", call: "select register_worker('w', '{}', '{}', '100000 years')", want: lease},
		{name: "a queue that is null", call: "select register_worker('w', '{a,null}', '{}')", want: "PQ001 queues" + each},
		{name: "an empty queue", call: `select register_worker('w', '{""}', '{}')`, want: "PQ001 queues" + each},
		{name: "the queue of defaults", call: "select register_worker('w', '{*}', '{}')", want: `PQ001 queues each must not be "*", which stands for the defaults of all queues`},
		{name: "a kind that is null", call: "select register_worker('w', '{a}', '{k,null}')", want: "PQ001 kinds" + each},
		{name: "a long kind", call: "select register_worker('w', '{a}', array[repeat('k', 129)])", want: "PQ001 kinds" + each},
	})
}
