package pgq

// jobColumn is a column of jobs that is copied only if some job has something else there than what is there by default.
type jobColumn struct {
	name  string
	value func(*newJob) any
	given func(*newJob) bool
}

var optionalColumns = [...]jobColumn{
	{"priority", func(j *newJob) any { return j.priority }, func(j *newJob) bool { return j.priority != defaultPriority }},
	{"args", func(j *newJob) any { return j.args.json }, func(j *newJob) bool { return j.args.json != nil }},
	{"codec", func(j *newJob) any { return j.args.codec }, func(j *newJob) bool { return j.args.codec != nil }},
	{"payload", func(j *newJob) any { return j.args.payload }, func(j *newJob) bool { return j.args.codec != nil }},
	{"max_attempts", func(j *newJob) any { return j.maxAttempts }, func(j *newJob) bool { return j.maxAttempts != nil }},
	{"timeout", func(j *newJob) any { return j.timeout }, func(j *newJob) bool { return j.timeout != nil }},
	{"backoff", func(j *newJob) any { return j.backoff }, func(j *newJob) bool { return j.backoff != nil }},
	{"tags", func(j *newJob) any { return j.tags }, func(j *newJob) bool { return j.tags != nil }},
	{"metadata", func(j *newJob) any { return j.metadata }, func(j *newJob) bool { return j.metadata != nil }},
	{"result_ttl", func(j *newJob) any { return j.resultTTL }, func(j *newJob) bool { return j.resultTTL != nil }},
	{"sequence", func(j *newJob) any { return j.sequence }, func(j *newJob) bool { return j.sequence != nil }},
	{"on_failure", func(j *newJob) any { return j.onFailure }, func(j *newJob) bool { return j.onFailure != nil }},
}

// traits are what some job of a bulk has, and so what there is to do for all of them.
type traits struct {
	columns    [len(optionalColumns)]bool
	delays     bool // or times at which to run
	ttls       bool
	turns      bool // groups or callbacks
	uniqueness bool
	sequences  bool
}

// survey looks at all jobs once: they are many, and large.
func survey(jobs []newJob) traits {
	parts := inParts(len(jobs), func(from, to int) (t traits) {
		for i := from; i < to; i++ {
			t.add(&jobs[i])
		}
		return t
	})
	all := parts[0]
	for _, t := range parts[1:] {
		all.or(t)
	}
	return all
}

func (t *traits) add(j *newJob) {
	for i := range optionalColumns {
		t.columns[i] = t.columns[i] || optionalColumns[i].given(j)
	}
	t.delays = t.delays || j.delay != nil || j.runAt != nil
	t.ttls = t.ttls || j.ttl != nil
	t.turns = t.turns || j.group != nil || j.callbacks != nil
	t.uniqueness = t.uniqueness || j.unique != nil
	t.sequences = t.sequences || j.sequence != nil
}

func (t *traits) or(other traits) {
	for i := range t.columns {
		t.columns[i] = t.columns[i] || other.columns[i]
	}
	t.delays = t.delays || other.delays
	t.ttls = t.ttls || other.ttls
	t.turns = t.turns || other.turns
	t.uniqueness = t.uniqueness || other.uniqueness
	t.sequences = t.sequences || other.sequences
}
