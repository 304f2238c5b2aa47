package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/pgq-go/queue/pgq"
)

// judge turns what a child did into what a handler returns.
func (c Command) judge(p *child) (any, error) {
	if p.err != nil && p.cmd.ProcessState == nil {
		return nil, fmt.Errorf("command could not be waited for: %w", p.err)
	}
	code := p.cmd.ProcessState.ExitCode()
	if code < 0 {
		return nil, fmt.Errorf("command was %s%s", ended(p.cmd.ProcessState), p.lastWords())
	}
	exit, ok := c.Exits[code]
	if !ok {
		exit = DefaultExits(code)
	}
	if exit == Complete {
		return c.result(p.stdout.bytes())
	}
	answer, err := answerOf(p.stdout.bytes())
	if err != nil {
		return nil, fmt.Errorf("exit code %d (%s), but %w%s", code, exit, err, p.lastWords())
	}
	text := fmt.Sprintf("exit code %d%s", code, p.lastWords())
	if answer.Error != "" {
		text = answer.Error
	}
	err = errors.New(text)
	switch exit {
	case Snooze:
		delay := c.SnoozeFor
		if answer.delay != nil {
			delay = *answer.delay
		}
		return nil, pgq.Snooze(delay)
	case Cancel:
		return nil, pgq.Cancel(err)
	case Fail:
		return nil, pgq.Permanent(err)
	}
	if answer.delay != nil {
		return nil, pgq.RetryAfter(*answer.delay, err)
	}
	return nil, err
}

// result reads what a command printed that succeeded.
func (c Command) result(printed []byte) (any, error) {
	if c.Output == None {
		return nil, nil
	}
	if !utf8.Valid(printed) {
		return nil, fmt.Errorf("output is not UTF-8; it begins with %s", beginning(printed))
	}
	if c.Output == Text {
		return strings.TrimSuffix(strings.TrimSuffix(string(printed), "\n"), "\r"), nil
	}
	printed = bytes.TrimSpace(printed)
	if len(printed) == 0 {
		if c.function != "" {
			return nil, errors.New("function ended the process and did not return")
		}
		return nil, nil
	}
	var value json.RawMessage
	if err := json.Unmarshal(printed, &value); err != nil {
		return nil, fmt.Errorf("output is not one JSON value: %w; it begins with %s", err, beginning(printed))
	}
	return value, nil
}

// beginning quotes the first bytes of an output.
func beginning(printed []byte) string {
	const most = 100
	if len(printed) > most {
		return fmt.Sprintf("%q…", printed[:most])
	}
	return fmt.Sprintf("%q", printed)
}

// answer is what a command may print that does not succeed.
type answer struct {
	Delay json.RawMessage `json:"delay"`
	Error string          `json:"error"`
	delay *time.Duration
}

// answerOf reads an answer. What is no JSON object with these members is none.
func answerOf(printed []byte) (answer, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(printed, &members) != nil {
		return answer{}, nil
	}
	var a answer
	if text, ok := members["error"]; ok && json.Unmarshal(text, &a.Error) != nil {
		return answer{}, errors.New("the member error of its output must be a string")
	}
	delay, ok := members["delay"]
	if !ok || string(delay) == "null" {
		return a, nil
	}
	d, err := delayOf(delay)
	a.delay = &d
	return a, err
}

// maxDelay is how long a command may put its job off.
const maxDelay = 10 * 365 * 24 * time.Hour

// delayOf reads seconds, or a duration as Go writes it.
func delayOf(value json.RawMessage) (time.Duration, error) {
	var text string
	var seconds float64
	var d time.Duration
	err := json.Unmarshal(value, &text)
	if err == nil {
		d, err = time.ParseDuration(text)
	} else if err = json.Unmarshal(value, &seconds); err == nil {
		d = time.Duration(math.Max(-1, math.Min(seconds, 2*maxDelay.Seconds())) * float64(time.Second))
	}
	if err != nil || d < 0 || d > maxDelay {
		return 0, fmt.Errorf("the member delay of its output must be 0 to 10 years, in seconds or like \"1h30m\", not %s", beginning(value))
	}
	return d, nil
}

// ended says how a process ended that did not exit.
func ended(state *os.ProcessState) string {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return fmt.Sprintf("killed by signal %d (%s)", int(status.Signal()), status.Signal())
	}
	return "ended: " + state.String()
}
