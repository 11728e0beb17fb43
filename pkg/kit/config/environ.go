package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// readEnviron takes the variables with our prefix and refuses those that name no setting.
func (l *loader) readEnviron() (map[string]text, error) {
	prefix := upper(l.name) + "_"
	known := map[string]string{prefix + "CONFIG": "config"}
	names := []string{"CONFIG"}
	for _, s := range l.settings {
		if !s.fileOnly() {
			known[prefix+upper(s.flag)] = s.flag
			names = append(names, upper(s.flag))
		}
	}
	found := map[string]text{}
	var errs []error
	for _, kv := range l.environ {
		name, value, _ := strings.Cut(kv, "=")
		if flag, ok := known[name]; ok {
			found[flag] = text{value: value, from: "environment variable " + name, source: name}
			continue
		}
		if strings.HasPrefix(name, prefix) && !isServiceLink(name, value) {
			errs = append(errs, fmt.Errorf("environment variable %s: no such setting%s",
				name, didYouMean(name[len(prefix):], prefix, names)))
		}
	}
	return found, errors.Join(errs...)
}

var servicePort = regexp.MustCompile(`_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)

// isServiceLink recognises the variables that Kubernetes gives every container
// for each service of its namespace: a service called natter-gateway makes some
// that look like settings.
func isServiceLink(name, value string) bool {
	if strings.HasSuffix(name, "_SERVICE_HOST") || strings.Contains(name, "_SERVICE_PORT") {
		return true
	}
	if strings.HasSuffix(name, "_PORT") {
		return strings.Contains(value, "://")
	}
	return servicePort.MatchString(name)
}
