package contract

import (
	"fmt"
	"strings"
)

// MaxPeers is the greatest number of gateways that [HeaderPeers] lists.
const MaxPeers = 64

// FormatPeers writes gateways' ids for [HeaderPeers]; "" if there are more than [MaxPeers].
func FormatPeers(gateways []string) string {
	if len(gateways) > MaxPeers {
		return ""
	}
	return strings.Join(gateways, ",")
}

// ParsePeers reads [HeaderPeers].
func ParsePeers(h Header) ([]string, error) {
	value := Last(h, HeaderPeers)
	if value == "" {
		return nil, nil
	}
	gateways := strings.Split(value, ",")
	for i, id := range gateways {
		if gateways[i] = strings.TrimSpace(id); !ValidGatewayID(gateways[i]) {
			return nil, fmt.Errorf("%w: %s: %s is not a gateway's id", ErrBadHeader, HeaderPeers, clip(id))
		}
	}
	return gateways, nil
}

// ListNobody is a request to List that the gateway alone hears, about a socket that nobody has: the gateway answers that
// there is none, and nobody, which NATS tells at once, means that the gateway is not there.
func (s Subjects) ListNobody(namespace, gateway string) (string, error) {
	return s.To(List, namespace, To(gateway+"."+strings.Repeat("A", SocketIDLength)))
}
