package output

import (
	"bytes"
	"strings"
)

// maxIndent is how deep JSON is laid out in lines. What lies deeper, in somebody's payload, stays in the line: 10,000 levels would
// make 100 MB of spaces.
const maxIndent = 8

// indent lays JSON out in lines, two spaces per level, down to maxIndent. The text must be JSON without spaces between tokens.
func indent(text []byte) []byte {
	var out bytes.Buffer
	depth, inString := 0, false
	line := func() {
		if depth <= maxIndent {
			out.WriteString("\n" + strings.Repeat("  ", depth))
		}
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case inString:
			out.WriteByte(c)
			if c == '\\' {
				i++
				out.WriteByte(text[i])
			}
			inString = c != '"'
		case (c == '{' || c == '[') && text[i+1] == c+2: // an empty one
			out.Write(text[i : i+2])
			i++
		case c == '{' || c == '[':
			out.WriteByte(c)
			depth++
			line()
		case c == '}' || c == ']':
			if depth--; depth < maxIndent {
				line()
			}
			out.WriteByte(c)
		case c == ',':
			out.WriteByte(c)
			line()
		case c == ':' && depth <= maxIndent:
			out.WriteString(": ")
		default:
			inString = c == '"'
			out.WriteByte(c)
		}
	}
	return out.Bytes()
}
