// Package config fills a service's settings from defaults, a YAML file, the
// environment and flags, the later winning over the earlier, by one rule for all
// services. It does not know what a setting means.
//
// A configuration is a plain struct of exported fields. One name, derived from
// the Go name, gives all three spellings; for a service called natter-gateway:
//
//	PingInterval           --ping-interval  NATTER_GATEWAY_PING_INTERVAL  pingInterval: 25s
//	NATS.URL (prefix nats-) --nats-url       NATTER_GATEWAY_NATS_URL       nats: {url: …}
//
// Field tags: help, default, enum ("text,json"), placeholder, name (another name
// than the Go one, kebab-case), yaml (another key in the file than the name gives),
// negatable (for a bool whose default is true). A
// nested struct is a group of settings under `embed:"" prefix:"nats-"`, whose
// settings the file may also call by one word (natsUrl); an anonymous one adds its
// fields to the group it stands in. A setting may have a group of its own name:
//
//	Cookie  Name   `inner:"name"`              --cookie io     cookie: io
//	Options struct `embed:"" prefix:"cookie-"` --cookie-path / cookie: {name: io, path: /}
//
// The group sets it to "true" if it does not set it itself. A field that has no
// sensible flag, such as a map of structs, is in the file alone under
// `kong:"-" yaml:"namespaces"`; its structs name their keys with yaml tags. A
// field with `kong:"-"` and no yaml tag is no setting.
//
// Types: string, bool, numbers, time.Duration ("25s"), Bytes ("1MiB"), Secret,
// what implements encoding.TextUnmarshaler, and slices of these: a YAML list, or
// a text with commas.
//
// Every configuration also has --help, --version and --config FILE
// (NATTER_GATEWAY_CONFIG). Part of the kit: small, for Natter's own programs, no
// compatibility promise.
package config
