package output

import (
	"slices"
	"strings"
)

// Sparkline returns a series of counts as little columns, the largest one being full. Zeros are dots.
func Sparkline(series []int64) string {
	const columns = "▁▂▃▄▅▆▇█"
	steps := []rune(columns)
	if len(series) == 0 {
		return ""
	}
	most := slices.Max(series)
	var text strings.Builder
	for _, n := range series {
		if n <= 0 || most <= 0 {
			text.WriteRune('·')
			continue
		}
		// In floating point, where the largest counts cannot overflow.
		text.WriteRune(steps[min(len(steps)-1, int(float64(n)/float64(most)*float64(len(steps))))])
	}
	return text.String()
}

// Bar returns a bar whose length stands for n of most, at most so wide; what is more than nothing has at least an eighth.
func Bar(n, most float64, width int) string {
	const eighths = " ▏▎▍▌▋▊▉"
	if n <= 0 || most <= 0 {
		return ""
	}
	whole := int(max(1, min(1, n/most)*float64(width)*8)) // in eighths
	text := strings.Repeat("█", whole/8)
	if rest := whole % 8; rest > 0 {
		text += string([]rune(eighths)[rest])
	}
	return text
}

// Meter returns "[#####.....]" for a fraction, so wide within the brackets.
func Meter(fraction float64, width int) string {
	filled := 0
	if fraction > 0 { // which what is no number is not
		filled = int(min(1, fraction) * float64(width))
	}
	return "[" + strings.Repeat("#", filled) + strings.Repeat(".", width-filled) + "]"
}
