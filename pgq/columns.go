package pgq

// jobColumn is a column of jobs that is copied only if some job gives it.
type jobColumn struct {
	name  string
	value func(*newJob) any
	given func(*newJob) bool
}

var optionalColumns = []jobColumn{
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
