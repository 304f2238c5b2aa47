package pgq

import (
	"encoding/json"
	"testing"
)

func TestKeysOfUniqueJobsAreToldHereUnlessOnlyTheDatabaseCan(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		by   []string
		want string // empty: only the database can
	}{
		{`{"bb":1,"a":[true,null,{"c":"d"}]}`, []string{"args"}, `kind="k" args={"a": [true, null, {"c": "d"}], "bb": 1}`},
		{`{"a":1,"b":2,"a":3}`, []string{"args"}, `kind="k" args={"a": 3, "b": 2}`},
		{`{}`, []string{"queue", "args", "queue"}, `kind="k" args={} queue="q\"\n"`},
		{`"\u003c\u00e9\t\u0001"`, []string{"args"}, `kind="k" args="<é\t\u0001"`},
		{`{"a":{"b":"x"},"c":1}`, []string{"args.a.b", "args.no", "args.c.d"}, `kind="k" args.a.b="x" args.c.d=null args.no=null`},
		{`[0,-1,10.50,123456789012345678901234567890]`, []string{"args"}, `kind="k" args=[0, -1, 10.50, 123456789012345678901234567890]`},
		{`null`, []string{"args.a"}, `kind="k" args.a=null`},
		{`{"a":1e3}`, []string{"args"}, ""},
		{`-0.0`, []string{"args"}, ""},
		{`"\ud800"`, []string{"args"}, ""},
		{`[{"a":1}]`, []string{"args.0.a"}, ""},
		{`{"a":1}`, []string{"args..a"}, ""},
		{`{"a":1}`, []string{"metadata"}, ""},
		{`{"a":1`, []string{"args"}, ""},
		{`[1,2`, []string{"args"}, ""},
		{`{"a" : 1}`, []string{"args"}, ""},
	} {
		j := newJob{kind: "k", queue: "q\"\n", args: encoded{json: json.RawMessage(c.args)}, unique: &Unique{By: c.by}}
		got, ok := j.uniqueKey()
		if ok != (c.want != "") || got != c.want {
			t.Errorf("%s by %v: got %s, %v; want %s", c.args, c.by, got, ok, c.want)
		}
	}
}
