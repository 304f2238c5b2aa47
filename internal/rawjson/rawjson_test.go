package rawjson_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/pgq-go/queue/internal/rawjson"
)

// nested returns arrays that are nested so deep.
func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func TestWhatIsTooDeepIsTakenApartAndPutTogetherLikeAllElse(t *testing.T) {
	t.Parallel()
	for _, depth := range []int{1, 9_990, 10_000, 20_000} {
		deep := json.RawMessage(nested(depth))
		members := map[string]json.RawMessage{
			"a": deep, `b":,{[\` + "\u2028": json.RawMessage(`"x\\\",]}"`), "c": json.RawMessage(`{"d":[1,2.50]}`), "e": json.RawMessage("null"),
		}
		object, err := rawjson.Object(members)
		if err != nil {
			t.Fatal(depth, err)
		}
		spaced := " { " + strings.ReplaceAll(string(object[1:len(object)-1]), `,"c":`, " ,\n\t\"c\" : ") + " } "
		for _, text := range []string{string(object), spaced} {
			if got, err := rawjson.Members([]byte(text)); err != nil || !reflect.DeepEqual(got, members) {
				t.Errorf("depth %d: %v: %.100q", depth, err, got)
			}
		}
		elements := []json.RawMessage{deep, json.RawMessage(`"],"`), deep}
		array, err := rawjson.Array(elements)
		if err != nil {
			t.Fatal(depth, err)
		}
		if got, err := rawjson.Elements(array); err != nil || !reflect.DeepEqual(got, elements) {
			t.Errorf("depth %d: %v", depth, err)
		}
		if !rawjson.Valid(array) || rawjson.IsDeep(deep) != (depth > rawjson.MaxDepth) {
			t.Errorf("depth %d: valid %t, deep %t", depth, rawjson.Valid(array), rawjson.IsDeep(deep))
		}
	}
}

func TestWhatIsBrokenIsRefusedHoweverDeepItIs(t *testing.T) {
	t.Parallel()
	deep := nested(20_000)
	for _, text := range []string{"", "{", "[1,", `{"a":` + deep, `{"a":` + deep + "]", "[" + deep + "}", `{a:` + deep + "}", `{"a"` + deep + "}", `{` + deep + "}", "[" + deep + `"]`} {
		_, asObject := rawjson.Members([]byte(text))
		_, asArray := rawjson.Elements([]byte(text))
		if asObject == nil || asArray == nil {
			t.Errorf("%.20q: %v, %v", text, asObject, asArray)
		}
	}
	if rawjson.Valid([]byte("nonsense")) {
		t.Error("nonsense is valid")
	}
	if rawjson.IsDeep([]byte(`"` + deep + `"`)) {
		t.Error("a string is deep")
	}
}
