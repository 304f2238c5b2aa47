package pgq

import (
	"encoding/json"
	"time"
)

// BackoffType is how the delay grows from attempt to attempt.
type BackoffType string

// The types of backoff, and what the delay after failed attempt n is before cap and jitter.
const (
	BackoffConstant    BackoffType = "constant"    // Base
	BackoffLinear      BackoffType = "linear"      // Base * n
	BackoffExponential BackoffType = "exponential" // Base * Factor^(n-1)
)

// Backoff says how long to wait after a failed attempt. The zero value means the queue's policy, whose default
// is exponential from 1 s, doubling, at most 1 h, with 10 % jitter. It is evaluated in SQL (backoff_delay).
type Backoff struct {
	Type BackoffType
	// Base is the delay after the first failed attempt; at most a year.
	Base time.Duration
	// Factor is by how much an exponential delay grows per attempt, 1 to 100; 2 by default.
	Factor float64
	// Cap bounds the delay before jitter; a year by default.
	Cap time.Duration
	// Jitter spreads the delay evenly over ± Jitter * delay, 0 to 1.
	Jitter float64
}

// MarshalJSON returns the form that the database keeps: durations in seconds, defaults left out.
func (b Backoff) MarshalJSON() ([]byte, error) {
	policy := map[string]any{"type": b.Type, "base": b.Base.Seconds()}
	if b.Factor != 0 {
		policy["factor"] = b.Factor
	}
	if b.Cap != 0 {
		policy["cap"] = b.Cap.Seconds()
	}
	if b.Jitter != 0 {
		policy["jitter"] = b.Jitter
	}
	return json.Marshal(policy)
}

// UnmarshalJSON reads the form that the database keeps.
func (b *Backoff) UnmarshalJSON(data []byte) error {
	var policy struct {
		Type                      BackoffType
		Base, Factor, Cap, Jitter float64
	}
	if err := json.Unmarshal(data, &policy); err != nil {
		return err
	}
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	*b = Backoff{Type: policy.Type, Base: seconds(policy.Base), Factor: policy.Factor, Cap: seconds(policy.Cap), Jitter: policy.Jitter}
	return nil
}

// problem returns the rule that the policy breaks, or "". The same rules stand in backoff_problem.sql.
func (b Backoff) problem() string {
	const year = 365 * 24 * time.Hour
	switch {
	case b.Type != BackoffConstant && b.Type != BackoffLinear && b.Type != BackoffExponential:
		return "must have a type: constant, linear or exponential"
	case b.Base < 0 || b.Base > year:
		return "must have a base of 0 to 31536000 seconds"
	case b.Cap < 0 || b.Cap > year:
		return "must have a cap of 0 to 31536000 seconds"
	case b.Factor != 0 && !(b.Factor >= 1 && b.Factor <= 100):
		return "must have a factor of 1 to 100"
	case !(b.Jitter >= 0 && b.Jitter <= 1):
		return "must have a jitter of 0 to 1"
	}
	return ""
}
