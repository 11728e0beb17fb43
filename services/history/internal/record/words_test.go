package record

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestWords(t *testing.T) {
	for text, want := range map[string]string{
		"Hello, World! hello":        "hello world",
		"天气":                         "天气 气",
		"今天天气":                       "今天 天天 天气 气",
		"iPhone手机 x":                 "iphone 手机 机 x",
		"スーパーへ":                      "スー ーパ パー ーへ へ",
		"ไทย":                        "ไท ทย ย",
		"한국어":                        "한국어", // words stand apart in Korean
		"ſtraße ΣΊΣΥΦΟΣ İstanbul":    "straße σίσυφοσ istanbul",
		strings.Repeat("ä", 40):      strings.Repeat("ä", 32),
		strings.Repeat("天", 40):      "天天 天",
		"wait...what 3.5 o'clock ไ่": "wait what 3 5 o clock ไ่ ่",
	} {
		if got := strings.Join(SplitWords(text), " "); got != want {
			t.Errorf("%s: %q; want %q", text, got, want)
		}
	}
}

func TestWordsOfLongText(t *testing.T) {
	long := strings.Repeat("filler ", maxText/7-2)
	for name, c := range map[string]struct{ event, finds, findsNot string }{
		"one string":       {`["m","red","first ` + strings.Repeat("filler ", maxText) + `last"]`, "red first filler", "last"},
		"cut in a letter":  {`["m","first ` + strings.Repeat("天", maxText) + `last"]`, "first 天天", "last"},
		"after it":         {`["m","first","` + strings.Repeat("x", 2*maxText) + `","last"]`, "first", "last"},
		"just fits":        {`["m","` + long + `","last"]`, "filler last", "first"},
		"an object":        {`["m",{"z":"first","y":["` + long + `",{"b":"last"}],"a":"never comes","c":7}]`, "first filler", "never"},
		"the keys are not": {`["m",{"key":"value"},[["deep"],{}],null,"end"]`, "value deep end", "key"},
	} {
		for range 2 { // always the same
			words := Words([]byte(c.event))
			if len(words) > 3*maxText || !utf8.ValidString(words) {
				t.Fatalf("%s: %d bytes, or not UTF-8", name, len(words))
			}
			for _, w := range strings.Fields(c.finds) {
				if !Has([]byte(c.event), ParseWords(w)) {
					t.Errorf("%s: %s is not found", name, w)
				}
			}
			for _, w := range strings.Fields(c.findsNot) {
				if Has([]byte(c.event), ParseWords(w)) {
					t.Errorf("%s: %s is found", name, w)
				}
			}
		}
	}
}

func TestHas(t *testing.T) {
	for _, c := range []struct {
		said, finds, findsNot []string
	}{
		{[]string{"今天天气很好我们去公园"}, []string{"天气", "天", "园", "今天天气很好", "天气 公园", "今天*", "公*"}, []string{"气天", "很天", "北", "公园们"}},
		{[]string{"ſtraße"}, []string{"straße", "STRAẞE", "ſtr*"}, []string{"strasse"}},
		{[]string{"ΣΊΣΥΦΟΣ", "Σίσυφος"}, []string{"σίσυφος", "ΣΊΣΥΦΟΣ", "σίσυφοσ", "σίσ*"}, []string{"σισυφος"}},
		{[]string{"lunch at noon"}, []string{"LUNCH", "lu*", "noon lunch", "noo* at"}, []string{"lu", "lunch tea", "lunchtime*"}},
		{[]string{"日本語のテキスト"}, []string{"日本語", "テキスト", "語の"}, []string{"本日"}},
	} {
		for _, text := range c.said {
			event, err := json.Marshal([]any{"m", "red", text})
			if err != nil {
				t.Fatal(err)
			}
			for _, looked := range c.finds {
				if !Has(event, ParseWords(looked)) {
					t.Errorf("%s does not find %s", looked, text)
				}
			}
			for _, looked := range c.findsNot {
				if Has(event, ParseWords(looked)) {
					t.Errorf("%s finds %s", looked, text)
				}
			}
		}
	}
}
