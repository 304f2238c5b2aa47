package config

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// mask is printed where a password stands.
const mask = "xxxxx"

var (
	passwordWord = regexp.MustCompile(`(?i)((?:ssl)?password\s*=\s*)('(?:\\.|[^'\\])*'|[^\s&]+)`)
	passwordURL  = regexp.MustCompile(`(?i)(postgres(?:ql)?://[^:@/\s]*:)\S*@`)
)

// MaskURL returns a database's URL, or the words that stand for one, with its password replaced.
func MaskURL(databaseURL string) string {
	if !strings.Contains(databaseURL, "://") {
		return MaskText(databaseURL)
	}
	u, err := url.Parse(databaseURL)
	if err != nil {
		return MaskText(databaseURL)
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), mask)
	}
	return MaskText(u.String())
}

// MaskText returns a text with the passwords of databases' URLs and words in it replaced.
func MaskText(text string) string {
	text = passwordURL.ReplaceAllString(text, "${1}"+mask+"@")
	return passwordWord.ReplaceAllString(text, "${1}"+mask)
}

// printable returns a text without what cannot be printed.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
}
