package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pgq-go/queue/cmd/pgq-admin/output"
	"github.com/pgq-go/queue/pgq"
)

// maxShownBytes is how many bytes of a payload are shown to people.
const maxShownBytes = 256

// payload is a value that a codec wrote, as it is stored; no bytes when one may not see them.
type payload struct {
	codec string
	data  []byte
}

// argsOf returns the args of a job if a codec wrote them.
func argsOf(j *pgq.JobInfo) payload {
	if j.Codec == nil {
		return payload{}
	}
	return payload{*j.Codec, j.Payload}
}

// outputOf returns the result of a job if a codec wrote it.
func outputOf(j *pgq.JobInfo) payload { return payload{j.OutputCodec(), j.OutputPayload()} }

// keyID returns which key encrypted it; nil if it is not encrypted, or not to be seen, or broken.
func (p payload) keyID() any {
	id, err := pgq.KeyIDOf(p.codec, p.data)
	if err != nil {
		return nil
	}
	return orNil(id)
}

// bytes returns the payload for output in base64; nil if there is none.
func (p payload) bytes() any {
	if p.codec == "" || p.data == nil {
		return nil
	}
	return p.data
}

// lines says who wrote it, and shows what people can make use of: text, or the first bytes; nothing of what is encrypted.
func (p payload) lines() []string {
	first := "written by codec " + output.Clean(p.codec)
	id, err := pgq.KeyIDOf(p.codec, p.data)
	switch {
	case p.data == nil:
		return []string{first}
	case err != nil:
		return []string{fmt.Sprintf("%s, %d bytes; %s", first, len(p.data), output.Clean(err.Error()))}
	case id != "":
		return []string{fmt.Sprintf("%s with key %s, %d bytes", first, output.Clean(id), len(p.data))}
	}
	lines := []string{fmt.Sprintf("%s, %d bytes", first, len(p.data))}
	if text := string(p.data); utf8.ValidString(text) && !strings.ContainsFunc(text, unprintable) {
		return append(lines, output.CleanLines(text)...)
	}
	dump := hex.Dump(p.data[:min(len(p.data), maxShownBytes)])
	lines = append(lines, strings.Split(strings.TrimSuffix(dump, "\n"), "\n")...)
	if more := len(p.data) - maxShownBytes; more > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more bytes (-o json shows all)", more))
	}
	return lines
}

// unprintable tells of what texts have no use for.
func unprintable(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }

// decrypt replaces args and result that were encrypted as JSON by what they are, with the keys of the settings.
func decrypt(j *pgq.JobInfo) error {
	encrypted := pgq.Encrypt(pgq.JSON, nil).Name()
	if p := argsOf(j); p.codec == encrypted && p.data != nil {
		var value json.RawMessage
		if err := j.DecodeArgs(&value); err != nil {
			return err
		}
		j.Args = value
	}
	if p := outputOf(j); p.codec == encrypted && p.data != nil {
		var value json.RawMessage
		if err := j.DecodeOutput(&value); err != nil {
			return err
		}
		j.Output = value
	}
	return nil
}
