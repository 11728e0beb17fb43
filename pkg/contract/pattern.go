package contract

import (
	"cmp"
	"fmt"
	"strings"
)

// patternAny stands, in the name of a namespace, for one or more characters other than a slash.
const patternAny = "*"

// functionPrefix begins the name of a [Function].
const functionPrefix = "/**"

// MiddlewareExists is what a [Function] is asked as: natter.use.<function>.exists.
const MiddlewareExists = "exists"

// IsPattern says whether a namespace's name stands for several namespaces: "/game-*" for "/game-1", "/game-x", …, and
// the name of a [Function]. No client is in a namespace of such a name; what is said to it reaches all that it stands
// for.
func IsPattern(namespace string) bool { return strings.Contains(namespace, patternAny) }

// Function is the name of a pattern that stands for whatever namespaces a service says exist: "/**tenants" for
// Function("tenants"). Gateways ask it about those that have no configuration and no other pattern, client by client, by
// a [Use] request in the pattern's own namespace: natter.use.=2A=2Atenants.exists.
func Function(name string) string { return functionPrefix + name }

// IsFunction says whether a namespace's name is that of a [Function].
func IsFunction(namespace string) bool { return strings.HasPrefix(namespace, functionPrefix) }

// MatchNamespace says whether the pattern stands for the namespace; a [Function] may stand for any.
func MatchNamespace(pattern, namespace string) bool {
	if IsPattern(namespace) {
		return false
	}
	if IsFunction(pattern) {
		return strings.HasPrefix(namespace, "/")
	}
	parts := strings.Split(pattern, "/")
	names := strings.Split(namespace, "/")
	if len(parts) != len(names) {
		return false
	}
	for i, part := range parts {
		if !matchPart(part, names[i]) {
			return false
		}
	}
	return true
}

// matchPart matches what stands between two slashes. What follows a star is taken as early as possible, so that
// only the last star ever gives way.
func matchPart(pattern, name string) bool {
	p, n := 0, 0
	star, end := -1, 0 // the last star, and where what it took ends
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p:p+1] == patternAny:
			star, end = p, n+1
			p, n = p+1, n+1
		case p < len(pattern) && pattern[p] == name[n]:
			p, n = p+1, n+1
		case star >= 0:
			end++
			p, n = star+1, end
		default:
			return false
		}
	}
	return p == len(pattern)
}

// ComparePatterns orders patterns by precedence: of those that stand for a namespace, the first one's configuration
// holds. The longest text before the first star comes first, then the longest text in all, then the alphabet.
func ComparePatterns(a, b string) int {
	return cmp.Or(
		cmp.Compare(strings.Index(b, patternAny), strings.Index(a, patternAny)),
		cmp.Compare(len(b)-strings.Count(b, patternAny), len(a)-strings.Count(a, patternAny)),
		cmp.Compare(a, b))
}

func validPattern(name string) error {
	if f, ok := strings.CutPrefix(name, functionPrefix); ok {
		if f == "" || strings.Contains(f, patternAny) {
			return fmt.Errorf("namespace %s: a function is %s and its name, which has no *", clip(name), functionPrefix)
		}
		return nil
	}
	if strings.Contains(name, patternAny+patternAny) {
		return fmt.Errorf("namespace %s: two * in a row: one stands for one or more characters", clip(name))
	}
	return nil
}
