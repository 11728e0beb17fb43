package record

import (
	"encoding/json"
	"strings"
	"testing"
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
