package pgq

import (
	"encoding/json"
	"math"
	"slices"
	"time"
)

// BackoffType is how the delay grows from attempt to attempt.
type BackoffType string

// The types of backoff, and what the delay after failed attempt n is before cap and jitter.
const (
	BackoffConstant    BackoffType = "constant"    // Base
	BackoffLinear      BackoffType = "linear"      // Base * n
	BackoffPolynomial  BackoffType = "polynomial"  // Base * n^Exponent
	BackoffExponential BackoffType = "exponential" // Base * Factor^(n-1)
	BackoffTable       BackoffType = "table"       // Delays[n-1], the last of them for all attempts after it
)

// Unlimited as MaxAttempts lets a job be tried for as often as it takes.
const Unlimited = math.MaxInt32

// Backoff says how long to wait after a failed attempt. The zero value means the queue's policy, whose default
// is exponential from 1 s, doubling, at most 1 h, with 10 % jitter. It is evaluated in SQL (backoff_delay).
type Backoff struct {
	Type BackoffType
	// Base is the delay after the first failed attempt; at most a year.
	Base time.Duration
	// Factor is by how much an exponential delay grows per attempt, 1 to 100; 2 by default.
	Factor float64
	// Exponent is the power of the attempt's number with which a polynomial delay grows, 0 to 10; 2 by default.
	Exponent float64
	// Delays are those of a table, 1 to 100.
	Delays []time.Duration
	// Cap bounds the delay before jitter; a year by default.
	Cap time.Duration
	// Jitter spreads the delay evenly over ± Jitter * delay, 0 to 1.
	Jitter float64
}

// isZero reports whether nothing is given.
func (b Backoff) isZero() bool {
	return b.Type == "" && b.Base == 0 && b.Factor == 0 && b.Exponent == 0 && b.Delays == nil && b.Cap == 0 && b.Jitter == 0
}

// MarshalJSON returns the form that the database keeps: durations in seconds, defaults left out.
func (b Backoff) MarshalJSON() ([]byte, error) {
	policy := map[string]any{"type": b.Type}
	if b.Type != BackoffTable || b.Base != 0 {
		policy["base"] = b.Base.Seconds()
	}
	if b.Exponent != 0 {
		policy["exponent"] = b.Exponent
	}
	if b.Delays != nil {
		delays := make([]float64, len(b.Delays))
		for i, d := range b.Delays {
			delays[i] = d.Seconds()
		}
		policy["delays"] = delays
	}
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
		Type                                BackoffType
		Base, Factor, Exponent, Cap, Jitter float64
		Delays                              []float64
	}
	if err := json.Unmarshal(data, &policy); err != nil {
		return err
	}
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	*b = Backoff{Type: policy.Type, Base: seconds(policy.Base), Factor: policy.Factor, Exponent: policy.Exponent,
		Cap: seconds(policy.Cap), Jitter: policy.Jitter}
	for _, delay := range policy.Delays {
		b.Delays = append(b.Delays, seconds(delay))
	}
	return nil
}

// problem returns the rule that the policy breaks, or "". The same rules stand in backoff_problem.sql.
func (b Backoff) problem() string {
	const year = 365 * 24 * time.Hour
	types := []BackoffType{BackoffConstant, BackoffLinear, BackoffPolynomial, BackoffExponential, BackoffTable}
	switch {
	case !slices.Contains(types, b.Type):
		return "must have a type: constant, linear, polynomial, exponential or table"
	case b.Base < 0 || b.Base > year:
		return "must have a base of 0 to 31536000 seconds"
	case b.Cap < 0 || b.Cap > year:
		return "must have a cap of 0 to 31536000 seconds"
	case b.Factor != 0 && !(b.Factor >= 1 && b.Factor <= 100):
		return "must have a factor of 1 to 100"
	case !(b.Exponent >= 0 && b.Exponent <= 10):
		return "must have an exponent of 0 to 10"
	case !(b.Jitter >= 0 && b.Jitter <= 1):
		return "must have a jitter of 0 to 1"
	case b.Type != BackoffTable && len(b.Delays) > 0:
		return "must have delays only as a table"
	case b.Type == BackoffTable && (len(b.Delays) < 1 || len(b.Delays) > 100):
		return "must have 1 to 100 delays"
	case slices.ContainsFunc(b.Delays, func(d time.Duration) bool { return d < 0 || d > year }):
		return "must have delays of 0 to 31536000 seconds"
	}
	return ""
}
