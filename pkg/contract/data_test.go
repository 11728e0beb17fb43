package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestData(t *testing.T) {
	long := `"` + strings.Repeat("x", MaxDataHeader-2) + `"`
	for data, want := range map[string][2]string{
		"":                                       {},
		"null":                                   {},
		"hello":                                  {}, // no JSON
		"0":                                      {HeaderData, "0"},
		"{\n  \"seat\": 3,\r\n\t\"a b\": [ ]\n}": {HeaderData, `{"seat":3,"a b":[]}`},
		`{"name":"Zoë 🎉 \ud800\n"}`:              {HeaderData, `{"name":"Zo\u00eb \ud83c\udf89 \ud800\n"}`},
		"\"\xff\"":                               {HeaderData, `"\ufffd"`},
		long:                                     {HeaderData, long},
		long[:1] + "x" + long[1:]:                {HeaderDataSize, "8193"},
		`"` + strings.Repeat("ë", 2000) + `"`:    {HeaderDataSize, "4002"}, // escaped it is too long
	} {
		header, value := FormatData([]byte(data))
		if header != want[0] || value != want[1] {
			t.Errorf("FormatData(%.40q) = %q, %.40q; want %q, %.40q", data, header, value, want[0], want[1])
			continue
		}
		back, err := ParseData(Header{header: {"the first does not count", value}})
		switch header {
		case "":
			if back != nil || err != nil {
				t.Errorf("ParseData without data = %q, %v", back, err)
			}
		case HeaderDataSize:
			if !errors.Is(err, ErrDataElsewhere) {
				t.Errorf("ParseData of %s bytes: %v; want ErrDataElsewhere", value, err)
			}
		default:
			var got, want any
			if err := errors.Join(err, json.Unmarshal(back, &got), json.Unmarshal([]byte(data), &want)); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("ParseData(%.40q) = %v, %v; want %v", value, got, err, want)
			}
		}
	}
	if _, err := ParseData(Header{HeaderData: {"{"}}); !errors.Is(err, ErrBadHeader) {
		t.Errorf("ParseData of half an object: %v; want ErrBadHeader", err)
	}
}

func FuzzData(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, "null", "\"\xffë🎉\\ud800\"", "[\r\n]", " 1 "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		header, written := FormatData([]byte(data))
		if strings.IndexFunc(written, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 || len(written) > MaxDataHeader {
			t.Fatalf("FormatData(%q) = %q, which is no header", data, written)
		}
		if header != HeaderData {
			return
		}
		back, err := ParseData(Header{header: {written}})
		if err != nil || !reflect.DeepEqual(value(t, back), value(t, []byte(data))) {
			t.Fatalf("%q became %q: %v", data, back, err)
		}
	})
}

// value reads JSON with numbers of any size.
func value(t *testing.T, text []byte) (v any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}
