package config

import (
	"reflect"
	"strings"
	"testing"
)

func TestList(t *testing.T) {
	t.Parallel()
	var cfg struct {
		gateway
		Health struct {
			Listen string `default:"${listen}" help:"Address."`
		} `embed:"" prefix:"health-" set:"listen=:9090"`
	}
	cfg.Workers = 99 // what it holds is no default
	list, err := List("natter-gateway", &cfg)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Setting{}
	for _, s := range list {
		s.Tag = ""
		got[strings.Join(s.Keys, " ")] = s
	}
	for key, want := range map[string]Setting{
		"pingInterval":       {Flag: "--ping-interval", Env: "NATTER_GATEWAY_PING_INTERVAL", Unit: "time", Default: "25s", Help: "Time between pings."},
		"maxHttpBufferSize":  {Flag: "--max-http-buffer-size", Env: "NATTER_GATEWAY_MAX_HTTP_BUFFER_SIZE", Unit: "size", Default: "1MB", Help: "Largest packet."},
		"recovery":           {Flag: "--[no-]recovery", Env: "NATTER_GATEWAY_RECOVERY", Unit: "true, false", Default: "true", Help: "Recover sockets."},
		"format":             {Flag: "--format", Env: "NATTER_GATEWAY_FORMAT", Unit: "text, json", Default: "text", Help: "Format."},
		"origins":            {Flag: "--origins", Env: "NATTER_GATEWAY_ORIGINS", Unit: "list", Help: "Allowed origins."},
		"workers":            {Flag: "--workers", Env: "NATTER_GATEWAY_WORKERS", Unit: "number", Default: "4", Help: "Workers."},
		"nats.password":      {Flag: "--nats-password", Env: "NATTER_GATEWAY_NATS_PASSWORD", Unit: "secret", Help: "Password."},
		"ticket ticket.name": {Flag: "--ticket", Env: "NATTER_GATEWAY_TICKET", Unit: "text", Help: "A setting with a group of its name."},
		"ticket.path":        {Flag: "--ticket-path", Env: "NATTER_GATEWAY_TICKET_PATH", Unit: "text", Default: "/", Help: "Path."},
		"namespaces":         {Unit: "group", Help: "Which namespaces exist."},
		"health.listen":      {Flag: "--health-listen", Env: "NATTER_GATEWAY_HEALTH_LISTEN", Unit: "text", Default: ":9090", Help: "Address."},
	} {
		want.Keys = strings.Fields(key)
		if !reflect.DeepEqual(got[key], want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", key, got[key], want)
		}
	}
	for _, wrong := range []any{nil, 1, cfg} {
		if _, err := List("x", wrong); err == nil {
			t.Errorf("%T: no error", wrong)
		}
	}
}
