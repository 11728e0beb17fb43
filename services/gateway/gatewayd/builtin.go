package gatewayd

import (
	"maps"

	"github.com/natter-io/natter/pkg/contract"
)

// DefaultNamespaces are declared when the settings declare none and have the chat: a chat that needs no back end, and an
// admin namespace for those to whom the auth service gives the role.
func DefaultNamespaces() map[string]contract.Namespace {
	return map[string]contract.Namespace{
		"/": {
			Use:    []string{"auth"},
			Guests: true,
			Events: map[string]contract.Rule{
				"chat message":   {Action: contract.ActionPost, To: "all", Args: 1, ID: "args[1]"},
				"room message":   {Action: contract.ActionPost, To: "room", Args: 2, ID: "args[2]", Members: true},
				"join":           {Action: contract.ActionJoin, Args: 1, Announce: true},
				"leave":          {Action: contract.ActionLeave, Args: 1},
				"typing":         {Action: contract.ActionVolatile, To: "room", Args: 1, Members: true, Except: "sender"},
				"who":            {Action: contract.ActionWho, Args: 1},
				"history":        {Action: contract.ActionHistory, Args: 1},
				"search":         {Action: contract.ActionSearch, Args: 1},
				"edit message":   {Action: contract.ActionEdit, Args: 1},
				"delete message": {Action: contract.ActionDelete, Args: 1},
				"read":           {Action: contract.ActionRead, Args: 1},
				"unread":         {Action: contract.ActionUnread, Args: 1},
			},
		},
		"/admin": {Use: []string{"auth"}, Role: "admin"},
	}
}

// builtInVersions are the fingerprints of what [DefaultNamespaces] has had, the oldest first and the present one last: by them a
// gateway knows rules that it may replace while gateways of an earlier version run. Whoever changes the rules adds
// theirs and leaves the others.
var builtInVersions = map[string][]string{
	"/":      {"ac07dfd4c2101a76"},
	"/admin": {"a60c3d357212d7bf"},
}

// namespaces are those that the gateway declares, and the names of those among them that nobody has stated, with the fingerprints of
// what earlier versions had there. Without the chat there is a bare namespace / at least, so that rules of a chat that ran
// before do not stay.
func (s Settings) namespaces() (all map[string]contract.Namespace, builtIn map[string][]string) {
	all = maps.Clone(s.Namespaces)
	if len(all) == 0 {
		all = DefaultNamespaces()
		builtIn = make(map[string][]string)
		for name := range all {
			versions := builtInVersions[name]
			builtIn[name] = versions[:len(versions)-1]
		}
		if !s.Chat {
			all["/"] = contract.Namespace{}
			delete(builtIn, "/")
		}
	}
	if _, named := all["/"]; !named && !s.Chat {
		all["/"] = contract.Namespace{}
	}
	return all, builtIn
}
